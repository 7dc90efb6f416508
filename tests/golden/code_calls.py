"""Function problems: arguments, expected values, right programs, and wrong ones with a score."""

from typing import Any

from golden.code_frames import Problem


def calls(
    function: str,
    tests: list[tuple[list[Any], Any]],
    rights: list[str],
    wrongs: list[tuple[str, float]],
) -> Problem:
    """Tests are (arguments, expected value)."""
    listed = [{"args": args, "expected": expected} for args, expected in tests]
    answer = {"function": function, "tests": listed}
    return Problem(answer=answer, rights=rights, wrongs=wrongs)


CALLS = [
    calls(
        "add",
        [([1, 2], 3), ([-1, 1], 0), ([10**20, 1], 10**20 + 1), ([0, 0], 0)],
        [
            "def add(a, b):\n    return a + b",
            "add = lambda a, b: sum((a, b))",
            "class Solution:\n    def add(self, a: int, b: int) -> int:\n        return a - -b",
            "from typing import List\n\ndef add(a, b):\n    print('debug', a, b)\n    return a.__add__(b)\n"
            "\nif __name__ == '__main__':\n    print(add(int(input()), int(input())))",
        ],
        [
            ("def add(a, b):\n    return a - b", 0.25),
            ("def add(a, b):\n    return str(a + b)", 0.0),
            ("def add(a, b):\n    return float(a + b)", 0.0),
            ("def add(a, b):\n    print(a + b)", 0.0),
            ("def plus(a, b):\n    return a + b", 0.0),
            ("def add(a, b):\n    if a < 0:\n        raise ValueError(a)\n    return a + b", 0.75),
            ("def add(a, b)\n    return a + b", 0.0),
            ("import numpy_that_is_not_there\ndef add(a, b):\n    return a + b", 0.0),
            ("def add(a):\n    return a", 0.0),
        ],
    ),
    calls(
        "is_prime",
        [([2], True), ([1], False), ([97], True), ([91], False), ([-7], False)],
        [
            "def is_prime(n):\n    return n > 1 and all(n % d for d in range(2, n))",
            "import math\ndef is_prime(n):\n    if n < 2:\n        return False\n"
            "    for d in range(2, math.isqrt(n) + 1):\n        if n % d == 0:\n"
            "            return False\n    return True",
        ],
        [
            ("def is_prime(n):\n    return int(n > 1 and all(n % d for d in range(2, n)))", 0.0),
            ("def is_prime(n):\n    return True", 0.4),
            ("def is_prime(n):\n    return n in (2, 3, 5, 7)", 0.8),
            ("def is_prime(n):\n    return 'True' if all(n % d for d in range(2, n)) else 'False'",
             0.0),
            ("def is_prime(n):\n    return n % 2 == 1 or n == 2", 0.4),
        ],
    ),
    calls(
        "two_sum",
        [([[2, 7, 11, 15], 9], [0, 1]), ([[3, 2, 4], 6], [1, 2]), ([[3, 3], 6], [0, 1])],
        [
            "class Solution:\n    def two_sum(self, nums, target):\n        seen = {}\n"
            "        for i, x in enumerate(nums):\n            if target - x in seen:\n"
            "                return [seen[target - x], i]\n            seen[x] = i",
            "from itertools import combinations\ndef two_sum(nums, target):\n"
            "    return next((i, j) for (i, a), (j, b) in combinations(enumerate(nums), 2)\n"
            "                if a + b == target)",
        ],
        [
            ("def two_sum(nums, target):\n    return [0, 1]", 2 / 3),
            ("def two_sum(nums, target):\n    return {0, 1}", 0.0),
            ("def two_sum(nums, target):\n    return '[0, 1]'", 0.0),
            ("def two_sum(nums, target):\n    for i in range(len(nums)):\n"
             "        for j in range(len(nums)):\n            if nums[i] + nums[j] == target:\n"
             "                return [i, j]", 1 / 3),
            ("def two_sum(nums, target):\n    return [1, 0]", 0.0),
        ],
    ),
    calls(
        "count",
        [(["banana"], {"b": 1, "a": 3, "n": 2}), ([""], {}), (["zz"], {"z": 2})],
        [
            "from collections import Counter\ndef count(s):\n    return Counter(s)",
            "def count(s):\n    return {c: s.count(c) for c in s}",
            "from collections import defaultdict\ndef count(s):\n    d = defaultdict(int)\n"
            "    for c in s:\n        d[c] += 1\n    return d",
        ],
        [
            ("def count(s):\n    return list({c: s.count(c) for c in s}.items())", 0.0),
            ("def count(s):\n    return {c: 1 for c in s}", 1 / 3),
            ("def count(s):\n    return {c: float(s.count(c)) for c in s}", 1 / 3),
            ("def count(s):\n    return {c: s.count(c) for c in s if c != 'n'}", 2 / 3),
        ],
    ),
    calls(
        "squares",
        [([3], {"1": 1, "2": 4, "3": 9}), ([0], {}), ([1], {"1": 1})],
        [
            "def squares(n):\n    return {k: k * k for k in range(1, n + 1)}",
            "def squares(n):\n    return {str(k): k ** 2 for k in range(1, n + 1)}",
        ],
        [
            ("def squares(n):\n    return {k: k * k for k in range(n)}", 1 / 3),
            ("def squares(n):\n    return [k * k for k in range(1, n + 1)]", 0.0),
            ("def squares(n):\n    return {float(k): k * k for k in range(1, n + 1)}", 1 / 3),
        ],
    ),
    calls(
        "flatten",
        [([[1, [2, [3, []]]]], [1, 2, 3]), ([[]], []), ([[["a"], None, True]], ["a", None, True])],
        [
            "def flatten(x):\n    out = []\n    for e in x:\n"
            "        out.extend(flatten(e) if isinstance(e, list) else [e])\n    return out",
            "def flatten(x):\n    while any(type(e) is list for e in x):\n"
            "        x = sum((e if type(e) is list else [e] for e in x), [])\n    return x",
            "from collections import deque\ndef flatten(x):\n    d, out = deque(x), []\n    while d:\n"
            "        e = d.popleft()\n        if isinstance(e, list):\n"
            "            d.extendleft(reversed(e))\n        else:\n            out.append(e)\n"
            "    return tuple(out)",
        ],
        [
            ("def flatten(x):\n    return x", 1 / 3),
            ("def flatten(x):\n    yield from x", 0.0),
            ("def flatten(x):\n    return [1, 2, 3]", 1 / 3),
            ("def flatten(x):\n    return [1 if e is True else e for e in sum(\n"
             "        (e if isinstance(e, list) else [e] for e in x), [])]", 1 / 3),
        ],
    ),
    calls(
        "half",
        [([1], 0.5), ([4], 2.0), ([-3], -1.5)],
        ["def half(x):\n    return x / 2", "def half(x):\n    return x * 0.5"],
        [
            ("def half(x):\n    return x // 2", 0.0),
            ("def half(x):\n    return x / 2 if x % 2 else x // 2", 2 / 3),
            ("def half(x):\n    return x / 2 + 1e-12", 0.0),
            ("def half(x):\n    return float('nan')", 0.0),
            ("def half(x):\n    return float('inf')", 0.0),
        ],
    ),
    calls(
        "find",
        [(["needle", "e"], 1), (["hay", "z"], None), (["", "a"], None)],
        [
            "def find(s, c):\n    return s.index(c) if c in s else None",
            "def find(s, c):\n    for i, x in enumerate(s):\n        if x == c:\n            return i",
        ],
        [
            ("def find(s, c):\n    return s.find(c)", 1 / 3),
            ("def find(s, c):\n    return s.index(c)", 1 / 3),
            ("def find(s, c):\n    return None", 2 / 3),
            ("def find(s, c):\n    return s.rfind(c) if c in s else False", 0.0),
        ],
    ),
    calls(
        "greet",
        [(["Zoë"], "Hello, Zoë!"), ([""], "Hello, !"), (["日本"], "Hello, 日本!")],
        ["def greet(n):\n    return f'Hello, {n}!'", "greet = 'Hello, {}!'.format"],
        [
            ("def greet(n):\n    return f'hello, {n}!'", 0.0),
            ("def greet(n):\n    return f'Hello, {n}! '", 0.0),
            ("def greet(n):\n    return ('Hello, ' + n + '!').encode()", 0.0),
            ("def greet(n):\n    return 'Hello, ' + n.encode('ascii', 'ignore').decode() + '!'", 1 / 3),
        ],
    ),
    calls(
        "append_all",
        [([[1], [2, 3]], [1, 2, 3]), ([[1], [2, 3]], [1, 2, 3]), ([[], []], [])],
        [
            "def append_all(a, b):\n    a.extend(b)\n    return a",
            "def append_all(a, b):\n    while b:\n        a.append(b.pop(0))\n    return a",
        ],
        [
            ("kept = []\ndef append_all(a, b):\n    kept.extend(a + b)\n    return kept", 1 / 3),
            ("def append_all(a, b):\n    return a.extend(b)", 0.0),
            ("def append_all(a, b):\n    return b + a", 1 / 3),
        ],
    ),
]  # fmt: skip
