"""Script problems: inputs, what must be printed, right programs, and wrong ones with a score."""

from collections.abc import Callable
from typing import Any

from golden.code_frames import Problem


def script(
    solve: Callable[[str], str],
    inputs: list[str],
    rights: list[str],
    wrongs: list[tuple[str, float]],
) -> Problem:
    """`solve` says what is to be printed; the programs are written another way."""
    tests: list[Any] = [{"input": text, "output": solve(text)} for text in inputs]
    return Problem(answer={"tests": tests}, rights=rights, wrongs=wrongs)


def _numbers(text: str) -> list[int]:
    return [int(word) for word in text.split()]


def _triangle(text: str) -> str:
    return "".join("*" * k + "\n" for k in range(1, int(text) + 1))


def _fibonacci(text: str) -> str:
    a, b = 0, 1
    for _ in range(int(text)):
        a, b = b, a + b
    return str(a)


def _primes(text: str) -> str:
    n = int(text)
    return " ".join(str(p) for p in range(2, n + 1) if all(p % d for d in range(2, p)))


def _brackets(text: str) -> str:
    while (shorter := text.replace("()", "").replace("[]", "").strip()) != text.strip():
        text = shorter
    return "NO" if text.strip() else "YES"


SCRIPTS = [
    script(
        lambda text: f"{sum(_numbers(text))}\n",
        ["1 2\n", "-5 5\n", "1000000000 1000000000\n", "0 0"],
        [
            "a, b = map(int, input().split())\nprint(a + b)",
            "import sys\nprint(sum(int(x) for x in sys.stdin.read().split()))",
            "print(sum(map(int, open(0).read().split())))",
            "import io, os, sys\n\nclass Fast(io.IOBase):\n    def __init__(self, fd):\n"
            "        self.fd, self.kept = fd, io.BytesIO()\n    def write(self, text):\n"
            "        self.kept.write(text.encode())\n    def flush(self):\n"
            "        os.write(self.fd, self.kept.getvalue())\n        self.kept = io.BytesIO()\n\n"
            "sys.stdout = Fast(1)\nprint(sum(map(int, os.read(0, 1 << 20).split())))",
            "import sys\nprint(eval('+'.join(sys.stdin.readline().split()).replace('+-', '-')))\n"
            "sys.stdout.close()",
            "import sys\nsys.stdin = open('/dev/stdin')\na, b = [int(x) for x in input().split()]\n"
            "if __name__ == '__main__':\n    print(a + b, file=sys.stdout, flush=True)\n    sys.exit(0)",
            "import atexit, os\nout = []\natexit.register(lambda: os.write(1, '\\n'.join(out).encode()))\n"
            "out.append(str(sum(map(int, input().split()))))",
            "import sys\nfor line in sys.stdin:\n    x, y = line.split()\n"
            "    sys.stdout.write(str(int(x) + int(y)))",
        ],
        [
            ("print(3)", 0.25),
            ("a, b = input().split()\nprint(a + b)", 0.0),
            ("a, b = map(int, input().split())\nprint(a - b)", 0.25),
            ("a, b = map(int, input().split())\nprint(float(a + b))", 0.0),
            ("a, b = map(int, input().split())\nprint('Sum:', a + b)", 0.0),
        ],
    ),
    script(
        lambda text: text.strip()[::-1],
        ["abc\n", "a\n", "ab cd\n", "Grüße 日本\n", "12321\n"],
        [
            "print(''.join(reversed(input())))",
            "s = input()\nout = ''\nfor c in s:\n    out = c + out\nprint(out)",
            "from collections import deque\nd = deque()\nfor c in input():\n"
            "    d.appendleft(c)\nprint(*d, sep='')",
        ],
        [
            ("print(input())", 0.4),
            ("print(input()[::-1].upper())", 0.2),
            ("print(input()[:0:-1])", 0.0),
            ("s = input()\nif len(s) > 3:\n    1 / 0\nprint(s[::-1])", 0.4),
        ],
    ),
    script(
        lambda text: "\n".join(str(x) for x in sorted(_numbers(text)[1:])),
        ["3\n3 1 2\n", "1\n7\n", "5\n5 4 4 -1 0\n", "2\n10 9\n"],
        [
            "n = int(input())\nfor x in sorted(map(int, input().split())):\n    print(x)",
            "import heapq\ninput()\nh = [int(x) for x in input().split()]\nheapq.heapify(h)\n"
            "while h:\n    print(heapq.heappop(h), end='\\r\\n')",
            "n = int(input())\na = list(map(int, input().split()))\nfor i in range(n):\n"
            "    for j in range(n - 1):\n        if a[j] > a[j + 1]:\n"
            "            a[j], a[j + 1] = a[j + 1], a[j]\nprint('\\n'.join(map(str, a)) + '   ')",
        ],
        [
            ("input()\nfor x in sorted(input().split()):\n    print(x)", 0.75),
            ("input()\nprint(*sorted(map(int, input().split())))", 0.25),
            ("input()\nfor x in sorted(set(map(int, input().split()))):\n    print(x)", 0.75),
            ("input()\nfor x in sorted(map(int, input().split()))[:3]:\n    print(x)", 0.75),
        ],
    ),
    script(
        _fibonacci,
        ["0", "1", "10", "90", "1000"],
        [
            "from functools import lru_cache\nimport sys\nsys.setrecursionlimit(10**6)\n\n"
            "@lru_cache(maxsize=None)\ndef f(n):\n    return n if n < 2 else f(n - 1) + f(n - 2)\n\n"
            "print(f(int(input())))",
            "def power(m, n):\n    r = (1, 0, 0, 1)\n    while n:\n        if n & 1:\n"
            "            r = mul(r, m)\n        m = mul(m, m)\n        n >>= 1\n    return r\n\n"
            "def mul(a, b):\n    return (a[0]*b[0]+a[1]*b[2], a[0]*b[1]+a[1]*b[3],\n"
            "            a[2]*b[0]+a[3]*b[2], a[2]*b[1]+a[3]*b[3])\n\n"
            "print(power((1, 1, 1, 0), int(input()))[1])",
            "import threading\n\ndef main():\n    a, b = 0, 1\n    for _ in range(int(input())):\n"
            "        a, b = b, a + b\n    print(a)\n\nthreading.stack_size(1 << 26)\n"
            "threading.Thread(target=main).start()",
        ],
        [
            ("n = int(input())\nprint(round(((1 + 5**.5) / 2)**n / 5**.5))", 0.6),
            ("a, b = 1, 1\nfor _ in range(int(input())):\n    a, b = b, a + b\nprint(a)", 0.2),
            ("def f(n): return n if n < 2 else f(n-1) + f(n-2)\nn = int(input())\n"
             "print(f(n) if n < 50 else 0)", 0.6),
        ],
    ),
    script(
        _primes,
        ["10\n", "2\n", "30\n", "97\n"],
        [
            "n = int(input())\ns = [True] * (n + 1)\nfor p in range(2, n + 1):\n    if s[p]:\n"
            "        for q in range(p * p, n + 1, p):\n            s[q] = False\n"
            "print(*[p for p in range(2, n + 1) if s[p]])",
            "import math\nprint(' '.join(str(p) for p in range(2, int(input()) + 1)\n"
            "      if all(p % d for d in range(2, math.isqrt(p) + 1))))",
        ],
        [
            ("print(2, 3, 5, 7)", 0.25),
            ("n = int(input())\nprint(*[p for p in range(2, n) if all(p % d for d in range(2, p))])",
             0.5),
            ("n = int(input())\nprint(*[p for p in range(2, n + 1)\n"
             "  if all(p % d for d in range(2, p))], sep=',')", 0.25),
            ("n = int(input())\nprint(2, *range(3, n + 1, 2))", 0.25),
        ],
    ),
    script(
        _triangle,
        ["1", "3", "6"],
        [
            "for k in range(int(input())):\n    print('*' * (k + 1))",
            "n = int(input())\nprint('\\n'.join('*' * k + ' ' * (n - k) for k in range(1, n + 1)))",
            "import sys\nn = int(sys.stdin.readline())\nfor k in range(n):\n"
            "    for _ in range(k + 1):\n        print('*', end='')\n    print()\nprint()",
        ],
        [
            ("n = int(input())\nfor k in range(1, n + 1):\n    print(' ' * (n - k) + '*' * k)", 1 / 3),
            ("n = int(input())\nfor k in range(1, n + 1):\n    print('*' * k)\n    print()", 1 / 3),
            ("n = int(input())\nprint()\nfor k in range(1, n + 1):\n    print('*' * k)", 0.0),
            ("n = int(input())\nfor k in range(n, 0, -1):\n    print('*' * k)", 1 / 3),
        ],
    ),
    script(
        _brackets,
        ["()\n", "([])\n", "(]\n", ")(\n", "((([[]])))\n", "(\n"],
        [
            "p = {')': '(', ']': '['}\nst = []\nok = True\nfor c in input().strip():\n"
            "    if c in '([':\n        st.append(c)\n    elif not st or st.pop() != p[c]:\n"
            "        ok = False\n        break\nprint('YES' if ok and not st else 'NO')",
            "import sys, re\ns = input()\nwhile re.search(r'\\(\\)|\\[\\]', s):\n"
            "    s = re.sub(r'\\(\\)|\\[\\]', '', s)\nprint('NO' if s else 'YES')\nsys.exit()",
        ],
        [
            ("print('YES')", 0.5),
            ("print('NO')", 0.5),
            ("s = input()\nprint('YES' if len(s) % 2 == 0 else 'NO')", 4 / 6),
            ("s = input()\nprint('yes' if s.count('(') == s.count(')') else 'no')", 0.0),
        ],
    ),
    script(
        lambda text: f"{sum(_numbers(text)[1:]) / _numbers(text)[0]:.3f}",
        ["2\n1 2\n", "3\n1 1 2\n", "1\n-4\n"],
        [
            "n = int(input())\nprint(f'{sum(map(int, input().split())) / n:.3f}')",
            "n = int(input())\ns = sum(map(int, input().split()))\nprint('%.3f' % (s / n))",
            "from decimal import Decimal\nn = int(input())\n"
            "s = sum(map(Decimal, input().split()))\nprint(round(s / n, 3).quantize(Decimal('.001')))",
        ],
        [
            ("n = int(input())\nprint(sum(map(int, input().split())) / n)", 0.0),
            ("n = int(input())\nprint(f'{sum(map(int, input().split())) / n:.2f}')", 0.0),
            ("n = int(input())\nprint(f'{sum(map(int, input().split())) // n:.3f}')", 1 / 3),
        ],
    ),
    script(
        lambda text: "".join(f"{word} {text.split().count(word)}\n" for word in sorted(set(text.split()))),
        ["b a b\n", "x\n", "one two\nthree two\n"],
        [
            "import sys\nfrom collections import Counter\n"
            "for w, n in sorted(Counter(sys.stdin.read().split()).items()):\n    print(w, n)",
            "d = {}\ntry:\n    while True:\n        for w in input().split():\n"
            "            d[w] = d.get(w, 0) + 1\nexcept EOFError:\n    pass\n"
            "for w in sorted(d):\n    print(f'{w} {d[w]}')",
        ],
        [
            ("from collections import Counter\nfor w, n in sorted(Counter(input().split()).items()):\n"
             "    print(w, n)", 2 / 3),
            ("import sys\nfor w in sorted(set(sys.stdin.read().split())):\n    print(w, 1)", 1 / 3),
            ("import sys\nfrom collections import Counter\n"
             "for w, n in Counter(sys.stdin.read().split()).items():\n    print(w, n)", 1 / 3),
        ],
    ),
    script(
        lambda text: str(_numbers(text)[0] ** _numbers(text)[1]),
        ["2 10\n", "3 0\n", "7 3000\n", "-2 5\n"],
        [
            "a, b = map(int, input().split())\nprint(a ** b)",
            "a, b = map(int, input().split())\nr = 1\nfor _ in range(b):\n    r *= a\nprint(r)",
            "import os\na, b = map(int, input().split())\nos.write(1, str(pow(a, b)).encode())",
        ],
        [
            ("import math\na, b = map(int, input().split())\nprint(int(math.pow(a, b)))", 0.75),
            ("a, b = map(int, input().split())\nprint(a * b)", 0.0),
            ("a, b = map(int, input().split())\nprint(pow(a, b, 10**9 + 7))", 0.5),
        ],
    ),
]  # fmt: skip
