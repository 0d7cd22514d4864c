"""fisherdiag toy: hot dogs by hand and by three routes; the claims of the paths' picture as numbers."""

import math

import support


class HotdogTest(support.ToolTest):
    def assert_matrix(self, matrix, expected, delta=1e-12):
        for row, wanted in zip(matrix, expected):
            for value, number in zip(row, wanted):
                self.assertAlmostEqual(value, number, delta=delta)

    def test_without_prior(self):
        result = self.run_json("toy", "hotdog", "--sigma-h", "2", "--sigma-b", "1")
        self.assert_matrix(result["fisher"], [[1.25, 0.25], [0.25, 0.25]])
        self.assert_matrix(result["covariance"], [[1, -1], [-1, 5]])
        self.assertAlmostEqual(result["correlation"], -1 / math.sqrt(5), delta=1e-12)
        self.assertAlmostEqual(result["conditional_errors"][1], 2, delta=1e-12)
        self.assertAlmostEqual(result["marginal_errors"][1], math.sqrt(5), delta=1e-12)
        self.assertAlmostEqual(result["precision_overstated_by_diagonal"][1], 1.25, delta=1e-12)
        self.assertIsNone(result["prior"])

    def test_prior(self):
        result = self.run_json("toy", "hotdog", "--sigma-h", "2", "--sigma-b", "1", "--prior", "0.5")
        self.assert_matrix(result["fisher"], [[5.25, 0.25], [0.25, 0.25]])
        self.assert_matrix(result["covariance"], [[0.2, -0.2], [-0.2, 4.2]])
        self.assert_matrix(result["covariance_without_prior"], [[1, -1], [-1, 5]])

    def test_routes_agree(self):
        for words in ([], ["--prior", "0.5"], ["--sigma-h", "0.03", "--sigma-b", "7", "--theta1", "20", "--seed", "5"]):
            result = self.run_json("toy", "hotdog", *words)
            self.assertTrue(result["agree"])
            for routes in (result["routes"], result["poisson"]["routes"]):
                algebra, engine, sampled = (routes[name] for name in ("algebra", "engine", "monte_carlo"))
                for i in range(2):
                    for j in range(2):
                        # Inputs and seeds in float: a few roundings of 6e-8.
                        self.assertAlmostEqual(engine["fisher"][i][j] / algebra["fisher"][i][j], 1, delta=1e-6)
                        error = sampled["standard_error"][i][j]
                        self.assertGreater(error, 0)
                        self.assertLess(error, 0.02 * algebra["fisher"][i][j])
                        self.assertLess(abs(sampled["fisher"][i][j] - algebra["fisher"][i][j]), 5 * error)

    def test_counts(self):
        # Variances are the means, 5 and 2: 1/5 + 1/2 and 1/5.
        result = self.run_json("toy", "hotdog", "--theta1", "2", "--theta2", "3")
        self.assert_matrix(result["poisson"]["fisher"], [[0.7, 0.2], [0.2, 0.2]])
        self.assert_matrix(result["poisson"]["covariance"], [[2, -2], [-2, 7]])

    def test_ellipses_hold_their_share_and_lie_as_the_matrix_says(self):
        result = self.run_json("toy", "hotdog")
        (a, b), (_, d) = result["fisher"]
        for entry in result["ellipses"]:
            off = b if entry["of"] == "covariance" else 0
            angle = math.radians(entry["angle_degrees"])
            for axis, x, y in zip(entry["semi_axes"], (math.cos(angle), -math.sin(angle)), (math.sin(angle), math.cos(angle))):
                # x^T F x at the ends of both axes; P(chi^2 with 2 degrees <= r^2) = 1 - exp(-r^2 / 2).
                self.assertAlmostEqual(axis ** 2 * (a * x * x + 2 * off * x * y + d * y * y),
                                       -2 * math.log(1 - entry["level"]), delta=1e-9)

    def test_ellipses_without_the_prior_are_kept_beside_those_with_it(self):
        result = self.run_json("toy", "hotdog", "--prior", "0.5")
        self.assertEqual([entry["of"] for entry in result["ellipses"][::2]],
                         ["covariance", "diagonal", "covariance_without_prior", "diagonal_without_prior"])
        plain = self.run_json("toy", "hotdog")["ellipses"]
        for entry, expected in zip(result["ellipses"][4:], plain):
            self.assertEqual({**entry, "of": expected["of"]}, expected)

    def test_usage(self):
        for words, said in ((["--sigma-h", "-1"], "--sigma-h"), (["--sigma-b", "nan"], "--sigma-b"),
                            (["--prior", "0"], "--prior"), (["--mc-samples", "5"], "--mc-samples"),
                            (["--bogus", "1"], "--bogus")):
            self.assert_fails(2, ["toy", "hotdog", *words], said)
        self.assert_fails(2, ["toy", "burger"], "burger")
        self.assert_fails(2, ["toy"], "example")
        self.assert_fails(2, ["toy", "paths", "--prior", "1"], "--prior", "hotdog")


def inside(boundary, point):
    """Whether a point is in a convex polygon: on the same side of all its edges."""
    sides = [(x2 - x1) * (point[1] - y1) - (y2 - y1) * (point[0] - x1)
             for (x1, y1), (x2, y2) in zip(boundary, boundary[1:] + boundary[:1])]
    return min(sides) > 0 or max(sides) < 0


class PathsTest(support.ToolTest):
    result = None  # computed once for all tests

    def paths(self):
        if PathsTest.result is None:
            PathsTest.result = self.run_json("toy", "paths")
        return PathsTest.result

    def test_the_picture(self):
        result = self.paths()
        low, ends = result["low_loss"], result["ends"]
        self.assertLess(ends["none"]["excess_b"], 1e-4)
        self.assertGreater(ends["none"]["excess_a"], 10 * low)   # leaves A
        self.assertGreater(ends["l2"]["excess_a"], low)          # settles for neither
        self.assertGreater(ends["l2"]["excess_b"], low)
        self.assertLess(ends["ewc"]["excess_a"], low)            # reaches both
        self.assertLess(ends["ewc"]["excess_b"], low)

    def test_paths_lead_from_a_to_their_ends(self):
        result = self.paths()
        for name, path in result["paths"].items():
            self.assertEqual(path[0], result["minima"]["a"]["theta"])
            self.assertEqual(path[-1], result["ends"][name]["end"])
            self.assertGreater(len(path), 20)

    def test_regions_hold_the_ends_that_are_low(self):
        result = self.paths()
        for task in "ab":
            inner = min(result["regions"][task], key=lambda region: region["excess"])
            self.assertAlmostEqual(inner["excess"], result["low_loss"], delta=1e-12)
            for end in result["ends"].values():
                self.assertEqual(inside(inner["boundary"], end["end"]), end[f"low_loss_{task}"])

    def test_ellipse_is_where_the_quadratic_is_low(self):
        result = self.paths()
        for axis, fisher in zip(result["ellipse"]["semi_axes"], sorted(result["fisher_diagonal"])):
            self.assertAlmostEqual(fisher * axis ** 2 / 2, result["low_loss"], delta=1e-6)
        for i in range(2):  # the engine's pass in float against the whole matrix in double
            self.assertAlmostEqual(result["fisher_diagonal"][i] / result["fisher"][i][i], 1, delta=1e-5)


if __name__ == "__main__":
    support.main()
