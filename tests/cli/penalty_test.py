"""fisherdiag penalty: lambda/2 sum F (theta - theta*)^2 by hand, in all forms."""

import support


class PenaltyTest(support.ToolTest):
    def setUp(self):
        super().setUp()
        # Small whole numbers and halves: every operation is exact in float.
        self.weights = self.write_parameters("W.safetensors", [3, -1, 2], [4])
        self.anchor1 = self.write_parameters("A1.safetensors", [1, 1, 2], [2])
        self.fisher1 = self.write_parameters("F1.safetensors", [2, 1, 5], [0.5])
        self.anchor2 = self.write_parameters("A2.safetensors", [3, 0, 0], [4])
        self.fisher2 = self.write_parameters("F2.safetensors", [7, 4, 1], [9])

    def write_parameters(self, name, weight, bias, swapped=False):
        tensors = [("weight", [1, 3], weight), ("bias", [1], bias)]
        return self.write(name, support.safetensors_bytes(tensors[::-1] if swapped else tensors))

    def penalty(self, *more, tasks=1):
        arguments = ["penalty", "--weights", self.weights, "--anchor", self.anchor1, "--fisher", self.fisher1]
        if tasks == 2:
            arguments += ["--anchor", self.anchor2, "--fisher", self.fisher2]
        return self.run_json(*arguments, *more)

    def test_one_task(self):
        # differences 2, -2, 0 | 2: sum F d^2 = 8 + 4 + 0 + 2 = 14
        result = self.penalty("--lambda", "3", "--grad-out", "G.safetensors")
        self.assertEqual(result["penalty"], 21.0)
        self.assertEqual((result["tasks"], result["parameters"], result["lambda"]), (1, 4, 3.0))
        tensors, _, _ = support.read_safetensors(self.path("G.safetensors"))
        self.assertEqual(tensors["weight"], ("F32", [1, 3], [12.0, -6.0, 0.0]))
        self.assertEqual(tensors["bias"], ("F32", [1], [3.0]))
        # sqrt(144 + 36 + 9)
        self.assertAlmostEqual(result["gradient_norm"], 189**0.5, delta=1e-12)

    def test_two_tasks(self):
        # the second task adds 0 + 4 * 1 + 1 * 4 + 0 = 8
        self.assertEqual(self.penalty("--lambda", "1", tasks=2)["penalty"], 11.0)
        merged = self.penalty("--lambda", "1", "--form", "merged", tasks=2)
        # The merged anchor is rounded to float: a few 2^-24 of terms up to 100.
        self.assertAlmostEqual(merged["penalty"], 11.0, delta=1e-4)

    def test_online(self):
        # F = F1 / 2 + F2 = 8, 4.5, 3.5 | 9.25 at the second anchor: 0 + 4.5 * 1 + 3.5 * 4 + 0 = 18.5
        result = self.penalty("--lambda", "2", "--form", "online", "--gamma", "0.5", tasks=2)
        self.assertEqual(result["penalty"], 18.5)
        self.assertEqual((result["form"], result["gamma"], result["tasks"]), ("online", 0.5, 2))

    def test_zero_at_the_anchor(self):
        self.weights = self.anchor1
        self.assertEqual(self.penalty("--lambda", "5")["penalty"], 0.0)

    def test_order_of_tensors_does_not_matter(self):
        self.anchor1 = self.write_parameters("B.safetensors", [1, 1, 2], [2], swapped=True)
        self.assertEqual(self.penalty("--lambda", "3")["penalty"], 21.0)

    def test_text(self):
        done = self.run_tool("penalty", "--weights", self.weights, "--anchor", self.anchor1, "--fisher", self.fisher1,
                             "--lambda", "3")
        self.assertEqual((done.returncode, done.stdout), (0, "penalty 21.0\n"))


if __name__ == "__main__":
    support.main()
