"""Mathematics: (answer, equal writings, wrong answers), judged by whoever wrote the line."""

from fractions import Fraction

from golden.frames import Case, framed

Group = tuple[str, list[str], list[str]]

BETWEEN = (
    "~", "\\quad ", "\\hspace{1cm}", "\\hskip1cm ", "\\>", "\\phantom{x}", "\\cr ", "\\par ",
    "\\text{or}", "\\text{ otherwise }", "\\mbox{ or }", "\\textrm{ or }", "\\mathrm{or}",
    "\\operatorname{or}", "\\lor ", "\\vee ", "\\cup ", "\\mid ", "|", "//", "::", ";;", ",,",
    "..", "...", "\\dots ", "\\to ", "\\Rightarrow ", "\\implies ", "\\iff ", "\\therefore ",
    "\\equiv ", "\\approx ", "\\sim ", "\\simeq ", "\\in ", "\\subset ", "\\perp ", "\\&", "&",
    "\\#", "#", "@", "?", "\\_", "`", "\\text{, }", "{}", "\\left.\\right.", "\\middle|",
    "\\label{a}", "\\tag{1}", "\\color{red}", "\\textcolor{red}{x}", "\\cancel{x}", "\\oplus ",
    "\\circ ", "\\ast ", "\\setminus ", "\\atop ", "\\choose ", "\\stackrel{x}{y}", "\n", "\n\n",
    "\u00a0", "\u2003", "\u200b", "\u3000", "、", "，", "；", "·", "•", "→", "⇒", "≈", "≡", "∨",
    "∪", "±", "或", " or ", " and ", " vs ",
)  # fmt: skip
"""Between two answers: none of them makes one of two guesses the answer."""

WRITTEN: list[Group] = [
    # fractions and decimals
    ("1/2", ["\\frac{1}{2}", "\\dfrac12", "0.5", "½", "\\frac{2}{4}"], ["2", "-\\frac12", "0.05"]),
    ("-\\frac{3}{4}", ["\\frac{-3}{4}", "-0.75", "-3/4", "\\frac{3}{-4}"], ["0.75", "-\\frac43"]),
    ("0.125", ["\\frac18", "1/8", ".125", "0.1250"], ["1.25", "\\frac{1}{80}", "8"]),
    ("1/3", ["\\tfrac{1}{3}", "0.\\overline{3}", "\\frac{2}{6}"], ["0.333", "0.33", "3", "1/30"]),
    ("\\frac{7}{2}", ["3.5", "3\\frac{1}{2}", "3 1/2", "7/2"], ["31/2", "3/2", "37/2", "2/7"]),
    ("31/2", ["15.5", "\\frac{31}{2}"], ["3 1/2", "3\\frac12", "31"]),
    # whole numbers and their writings
    ("1000", ["1{,}000", "1,000", "1\\,000", "1 000", "10^3"], ["1.000", "100", "1,00", "10000"]),
    ("1234567", ["1,234,567", "1\\,234\\,567"], ["1234568", "1,234,56", "234567"]),
    ("1500", ["1.5\\times10^3", "1.5e3", "1.5 \\cdot 10^{3}"], ["1.5", "1.5e2", "1.5\\times10^4"]),
    ("12", ["12.0", "+12", "$12$", "\\(12\\)", "012"], ["1 2", "123", "1", "2", "-12", "12.5"]),
    ("-5", ["−5", "- 5", "-5.0", "-\\frac{10}{2}"], ["5", "+5", "−−5 or 5"]),
    ("0", ["0.0", "-0", "\\frac{0}{7}"], ["", "1", "0.001", "\\emptyset"]),
    ("1024", ["2^{10}", "32^2", "1,024"], ["2^{11}", "10^2", "1025"]),
    # roots and irrational numbers
    ("2\\sqrt{2}", ["\\sqrt{8}", "2\\sqrt2", "\\sqrt 8", "\\frac{4}{\\sqrt2}"],
     ["\\sqrt{2}", "2\\sqrt{3}", "-2\\sqrt2", "2.8"]),
    ("\\frac{\\sqrt{3}}{3}", ["\\frac{1}{\\sqrt{3}}", "\\sqrt{\\frac13}"],
     ["\\sqrt{3}", "\\frac{\\sqrt3}{2}"]),
    ("2", ["\\sqrt[3]{8}", "\\sqrt{4}", "\\log_2 4", "1+1"], ["\\sqrt{8}", "\\pm 2", "-2"]),
    ("2\\pi", ["\\pi\\cdot2", "2 \\pi", "\\pi+\\pi"], ["6.28", "\\pi", "2", "\\pi^2"]),
    ("e^2", ["e^{2}", "e\\cdot e"], ["2e", "e^3", "7.4"]),
    ("1+\\sqrt{5}", ["\\sqrt5+1", "\\sqrt{5} + 1"], ["1-\\sqrt5", "\\sqrt{6}", "\\sqrt5"]),
    ("6", ["3!", "\\binom{4}{2}", "\\frac{12}{2}"], ["3", "4!", "66"]),
    # percent, units, money
    ("50\\%", ["50%", "0.5", "\\frac12"], ["5\\%", "0.05", "-50\\%"]),
    ("25", ["25\\%", "25\\text{ cm}", "25 cm", "\\$25", "25\\,\\mathrm{cm}"], ["26\\%", "52"]),
    ("90", ["90^\\circ", "90^{\\circ}", "90\\text{ degrees}"], ["180^\\circ", "9^\\circ", "0"]),
    ("100\\text{ cm}", ["100", "100\\text{ cm}", "100 cm", "100\\mathrm{cm}"],
     ["100\\text{ m}", "100 km", "10\\text{ cm}", "100\\text{ cm}^2"]),
    ("5 m", ["5\\text{ m}", "5"], ["5 km", "5 s", "50"]),
    # intervals, sets, tuples
    ("[0,1)", ["[0, 1)", "\\left[0,1\\right)"], ["(0,1)", "[0,1]", "(0,1]", "[0,2)"]),
    ("(-\\infty, 3)", ["(-\\infty,3)", "\\left(-\\infty, 3\\right)"],
     ["(-\\infty,3]", "(3,\\infty)", "(-\\infty,-3)"]),
    ("[0,\\infty)", ["[0, +\\infty)", "\\left[0,\\infty\\right)"], ["(0,\\infty)", "[1,\\infty)"]),
    ("(2,\\infty)\\cup(-\\infty,1)", ["(-\\infty,1)\\cup(2,\\infty)"], ["(-\\infty,1)", "(1,2)"]),
    ("\\{1,2\\}", ["\\{2,1\\}", "\\{1, 2\\}", "\\left\\{1,2\\right\\}", "1,2"],
     ["\\{1,2,3\\}", "\\{1\\}", "1", "2", "\\{-1,2\\}", "\\{12\\}", "(1,2)",
      "\\left(1, 2\\right)"]),
    ("(1,2)", ["(1, 2)", "\\left(1,2\\right)", "(1, \\frac{4}{2})", "1,2"],
     ["(2,1)", "(1,3)", "[1,2]", "(-1,2)", "12", "\\{1,2\\}", "\\left\\{1,2\\right\\}", "\\{2,1\\}",
      "x \\in \\{1,2\\}"]),
    ("\\{(1,2),(3,4)\\}", ["(1,2),(3,4)", "\\{(3,4),(1,2)\\}"], ["(1,2)", "((1,2),(3,4))"]),
    ("2,3,5", ["2, 3, 5", "5,3,2", "\\{2,3,5\\}"], ["2,3", "2,3,5,7", "235", "2,3,-5"]),
    ("(1,2,3)", ["(1, 2, 3)", "(\\frac22,2,3)"], ["(3,2,1)", "(1,2)", "(1,2,3,4)"]),
    ("\\emptyset", ["\\varnothing", "\\{\\}"], ["0", "\\{0\\}", "\\infty"]),
    ("\\infty", ["+\\infty", "\\infty"], ["-\\infty", "0", "8"]),
    # algebra
    ("x+1", ["1+x", "x + 1", "\\frac{x^2-1}{x-1}"], ["x-1", "1-x", "x", "2x+1"]),
    ("(x+1)^2", ["x^2+2x+1", "(x+1)(x+1)", "1+2x+x^2"], ["x^2+1", "(x-1)^2", "x^2+2x"]),
    ("x^2-1", ["(x-1)(x+1)", "(x+1)(x-1)", "-1+x^2"], ["x^2+1", "1-x^2", "x-1"]),
    ("\\frac{a}{b}", ["a/b", "\\dfrac{a}{b}", "a\\cdot b^{-1}"], ["\\frac{b}{a}", "ab", "a-b"]),
    ("\\sin(2x)", ["2\\sin x\\cos x", "\\sin 2x"], ["\\sin x", "2\\sin x", "\\cos 2x"]),
    ("y=2x+1", ["y=1+2x", "y = 2x + 1", "2x+1"], ["y=2x-1", "y=x+2", "y=2x"]),
    ("3x^2", ["3 x^{2}", "x^2\\cdot3"], ["3x^3", "9x^2", "x^2"]),
    ("2+3i", ["3i+2", "2 + 3i"], ["2-3i", "3+2i", "-2+3i", "5i"]),
    ("x>3", ["x > 3", "3<x"], ["x\\ge 3", "x<3", "x>4", "x>-3"]),
    ("\\ln 2", ["\\ln{2}", "\\ln(2)"], ["\\ln 3", "2", "\\log_{10}2"]),
    # equations and words
    ("5", ["x=5", "x = 5", "2+3=5", "f(2) = 5"], ["x=6", "4=5", "2+3=6", "2+2=5", "5=6"]),
    ("4", ["y=4", "\\frac82", "2^2=4"], ["3=4", "2+3=5=4", "4 or 5", "4\\text{ or }5", "4,5"]),
    ("7", ["7", "\\boxed{7}", "{7}", "\\mathbf{7}"],
     ["4$ $7", "7 or 8", "not 7", "7; 8", "7 \\neq 8", "\\ne 7", "x\\neq7", "≠7", "\\text{7 or 8}",
      "8$ or $7", "7\\\\8", "[7, 8]", "__import__('os').getpid()", "7 is wrong",
      "nan", "inf", "1/0", "٧", "７"]),
    # more than one answer, spelled in ways that a parser passes over
    ("42", ["42", "42.0"],
     ["42\\lor43", "42\\vee 43", "42\\text{ (or 43)}", "42\\text{ or so, 43}", "42\\,|\\,43"]),
    ("\\sqrt{7}", ["\\sqrt7"], ["\\sqrt{7}\\lor\\sqrt{5}", "\\sqrt7\\text{ (or 5)}"]),
    ("\\{3,4\\}", ["3\\text{ or }4", "\\{4,3\\}"], ["3\\text{ or }5", "3"]),
    ("\\pm 3", ["3\\text{ or }-3", "\\pm3"], ["3", "3\\text{ or }4"]),
    ("|x|", ["\\left|x\\right|", "|-x|"], ["x", "-x"]),
    ("A", ["\\text{A}", "(A)", "\\textbf{A}", "\\mathrm{A}"], ["B", "\\text{B}", "(C)", "A, B"]),
    ("yes", ["\\text{yes}", "Yes", "\\text{Yes}"], ["no", "\\text{no}", "yes and no"]),
    ("12_3", ["12_{3}", "12_3", "12"], ["12_4", "12_{5}", "21_3"]),
    ("\\begin{pmatrix}1\\\\2\\end{pmatrix}", ["\\begin{pmatrix} 1 \\\\ 2 \\end{pmatrix}"],
     ["\\begin{pmatrix}2\\\\1\\end{pmatrix}", "\\begin{pmatrix}1\\\\3\\end{pmatrix}", "1"]),
    # right as people write it, though not one expression
    ("2\\pi", ["2\\pi\\approx 6.28", "x=2\\pi", "2\\pi\\text{ cm}"],
     ["2\\pi\\approx 7", "\\pi\\approx 2\\pi", "2\\pi\\approx 6.28~\\pi",
      "2\\pi\\text{ or else }\\pi"]),
    ("3.14", ["x\\approx 3.14", "x = 3.14"], ["\\pi\\approx 3.14", "3.14 \\approx 4"]),
    ("3:2", ["3 : 2", "6:4"], ["2:3", "3:2:1"]),
    ("\\{2,3\\}", ["2\\text{ and }3", "x = 2\\text{ or }3"],
     ["2\\text{ and }4", "2\\text{ otherwise }3"]),
    ("[1,2]", ["x\\in[1,2]"], ["x\\in(1,2]", "[1,2]~[0,1]"]),
    ("x=1, y=2", ["x = 1,y = 2"], ["x=2, y=1", "x=1"]),
    ("5", ["5\\text{ (approximately)}", "5\\text{ m}/\\text{s}"],
     ["5\\text{ million}", "5\\text{k}", "5\\text{ dozen}", "5\\text{ is wrong}", "5\\text{ not}",
      "5\\text{ if }1=1\\text{ else }6"]),
    ("7\\text{ million}", ["7\\text{ million}"], ["7", "7\\text{ thousand}"]),
    *[("42", ["42"], [f"42{mark}43", f"43{mark}42"]) for mark in BETWEEN],
    *[("\\sqrt{2}", ["2^{1/2}"], [f"\\sqrt{{2}}{mark}\\sqrt{{3}}", f"\\sqrt{{3}}{mark}\\sqrt{{2}}"])
      for mark in BETWEEN[::3]],
]  # fmt: skip


def _integer(value: int) -> Group:
    """Writings of a whole number; neighbours, the other sign, a digit more and a digit less."""
    rights = [f"{value}", f"{value}.0", f"x = {value}"]
    return str(value), rights, [f"{value + 1}", f"{-value}", f"{value}0", f"{abs(value) // 10}"]


def _fraction(value: Fraction) -> Group:
    """Writings of a fraction; upside down, the other sign, a neighbour."""
    n, d = value.numerator, value.denominator
    rights = [f"\\frac{{{n}}}{{{d}}}", f"{n}/{d}", f"\\frac{{{3 * n}}}{{{3 * d}}}"]
    return f"{n}/{d}", rights, [f"\\frac{{{d}}}{{{n}}}", f"{-n}/{d}", f"\\frac{{{n + 1}}}{{{d}}}"]


def cases() -> list[Case]:
    """All of them."""
    integers = [_integer(value) for value in (17, 42, -318, 999, 65536, -71, 2029, 5, -8, 73)]
    fractions = [
        _fraction(Fraction(n, d)) for n, d in ((3, 7), (-5, 9), (22, 13), (101, 6), (-1, 8), (9, 4))
    ]
    return framed([*WRITTEN, *integers, *fractions])
