#!/usr/bin/env python3
"""Count the instructions of the product's inner loops for arm64: arm64_instructions.py FOLDER, with the objects of
core/kernel_sets in it. No speed: what a processor does with them, no emulator knows. For each kernel set and height of a
tile, the loop with the densest multiplication: instructions in all, and of one product of a weight and an input."""
import collections
import re
import subprocess
import sys

# Products that one vector instruction makes, and the instruction of each form and set.
PRODUCTS = {"usmmla": 32, "sdot": 16, "mul": 8, "fmla": 4}
KERNELS = [("int8", "neon", "mul"), ("int8", "neon_dotprod", "sdot"), ("int8", "neon_i8mm", "usmmla"), ("f32", "neon", "fmla")]
BRANCH = re.compile(r"(?:b\.\w+|cbn?z|tbn?z)\s.*?([0-9a-f]+) <")


def instructions(path, function):
    text = subprocess.run(["aarch64-linux-gnu-objdump", "-d", "--no-show-raw-insn", f"--disassemble={function}", path],
                          check=True, capture_output=True, text=True).stdout
    found = re.findall(r"^\s*([0-9a-f]+):\s+(.*)$", text, re.M)
    return [(int(address, 16), line.strip()) for address, line in found]


def loops(code):
    """Mnemonics of each stretch that a branch at its end repeats."""
    place = {address: i for i, (address, _) in enumerate(code)}
    for i, (address, line) in enumerate(code):
        branch = BRANCH.match(line)
        begin = place.get(int(branch[1], 16)) if branch else None
        if begin is not None and begin < i:
            yield collections.Counter(text.split()[0] for _, text in code[begin:i + 1])


def main():
    folder = sys.argv[1]
    print(f"{'form':<6}{'set':<14}{'rows':>5}{'instructions':>14}{'products':>10}{'a product':>11}{'spills':>8}")
    for form, kernels, name in KERNELS:
        for rows in range(1, 7):
            code = instructions(f"{folder}/{kernels}.o", f"{form}_rows_{rows}")
            loop = max(loops(code), key=lambda counts: counts[name] / counts.total())
            products = loop[name] * PRODUCTS[name]
            if name == "usmmla" and rows % 2:  # the last row stands for two
                products = products * rows // (rows + 1)
            spills = loop["str"] + loop["stp"] + loop["stur"]
            print(f"{form:<6}{kernels:<14}{rows:>5}{loop.total():>14}{products:>10}{loop.total() / products:>11.3f}{spills:>8}")


if __name__ == "__main__":
    main()
