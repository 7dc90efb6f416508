"""STEM: (expected answer, right writings, wrong answers), judged by whoever wrote the line."""

from typing import Any

from golden.frames import Case, framed

Group = tuple[Any, list[str], list[str]]

CHOICES: list[Group] = [
    (
        letter,
        [letter, f"({letter})", f"\\text{{{letter}}}", f"{letter}) the first one", letter.lower()],
        [other, f"({other})", f"{letter} or {other}", f"{letter}, {other}", f"{letter}{other}", ""],
    )
    for letter, other in (("A", "B"), ("B", "D"), ("C", "A"), ("D", "C"), ("E", "J"))
]
MORE_CHOICES: list[Group] = [
    ("(B)", ["B.", "Option B", "\\textbf{(B)}", "B: 5 m"], ["not B", "B) 5 or C) 6", "Bee", "8",
     "B) C is also right", "B) perhaps C", "B) also C", "B, C too", "(B) but C is possible"]),
    ("B", ["B) B is right", "B) A cat is also here", "B) it is also a base"],
     ["A", "B) A is correct too"]),
    ({"kind": "choice", "accept": ["A", "D"]}, ["A", "D", "(d)"], ["B", "A and D", "C"]),
]  # fmt: skip

NUMBERS: list[Group] = [
    ("9.81 m/s^2", ["9.81\\ \\text{m/s}^2", "9.8 m/s²", "9.81\\,\\mathrm{m\\,s^{-2}}", "981 cm/s^2",
     "9.81\\frac{\\text{m}}{\\text{s}^2}", "9.81 N/kg"],
     ["9.81", "9.81 m/s", "9.81 m", "-9.81 m/s^2", "9.6 m/s^2", "9.81 km/s^2", "98.1 m/s^2"]),
    ("3.0\\times 10^8 m/s", ["3e8 m/s", "3 × 10^{8} m·s⁻¹", "300000 km/s", "299792458 m/s"],
     ["3e7 m/s", "3\\times 10^8", "3e8 m", "3\\times 10^{-8} m/s", "3e8 s/m"]),
    ("500 nm", ["500 nm", "5\\times10^{-7}\\text{ m}", "0.5 µm", "0.5\\ \\mu m", "5e-7 m",
     "0.5\\ \\mu\\text{m}", "0.5\\,\\mu\\mathrm{m}", "0.5\\,\\mathrm{\\mu m}"],
     ["500 m", "500 mm", "50 nm", "500", "500 Nm", "5e-6 m"]),
    ("25 °C", ["25^\\circ C", "25^{\\circ}\\text{C}", "25.1 °C", "25 ℃"],
     ["25 K", "25", "298 K", "25 °F", "-25 °C", "25 C"]),
    ("4.2 kJ/mol", ["4200 J/mol", "4.2\\ \\text{kJ mol}^{-1}", "4.2 kJ·mol⁻¹"],
     ["4.2 J/mol", "4.2 kJ", "42 kJ/mol", "4.2 kJ mol", "4.2"]),
    ("8.314 J/(mol K)", ["8.31\\,\\text{J}/(\\text{mol}\\cdot\\text{K})", "8.314 J mol^-1 K^-1",
     "8.314 J/mol/K"], ["8.314 J/mol", "8.314 J K/mol", "0.08206 J/(mol K)", "8.314"]),
    ("15 %", ["15%", "15\\%", "0.15", "15 percent"], ["15", "0.0015", "-15\\%", "150%"]),
    (42, ["42", "42.0", "+42", "x = 42", "4.2e1"], ["42.1", "41", "-42", "42 m", "420", "4 2"]),
    (0, ["0", "0.0", "-0"], ["0.001", "1e-9", "zero or so", "1"]),
    ("1500 kg", ["1.5 t", "1,500 kg", "1500000 g", "1.5\\times10^3 kg", "1 500\\text{ kg}"],
     ["1.5 kg", "1500 g", "1500", "1450 kg", "1500 km"]),
    ("0.5 mol/L", ["0.5 M", "0.500\\ \\text{mol/L}", "500 mmol/L", "\\frac{1}{2} M"],
     ["0.5 mol", "0.5 mM", "0.5 m", "5 M", "1/2"]),
    ("1 atm", ["101325 Pa", "760 mmHg", "101.3 kPa"], ["1 Pa", "101.3 Pa", "1", "1 m"]),
    ("2.5 h", ["150 min", "9000 s", "2.5 hours"], ["2.5 min", "2.5", "2.5 Hz", "3 h"]),
    ("-13.6 eV", ["-13.6 eV", "-2.18e-18 J", "−13.6 eV"], ["13.6 eV", "-13.6 V", "-13.6"]),
    ("10 N", ["10 kg m/s^2", "10\\ \\text{N}", "0.01 kN", "10 newtons"], ["10 J", "10 n", "10 kg"]),
    ("220 \\Omega", ["220 Ω", "0.22 k\\Omega", "220\\,\\mathrm{ohm}", "220 V/A"], ["220 V",
    "220 A"]),
    ("3.00 mL", ["3 cm^3", "0.003 L", "3 mL", "3e-6 m^3"], ["3 L", "3 cm^2", "3 m", "0.3 mL"]),
    ({"kind": "number", "accept": "100 m", "tolerance": 0.1}, ["95 m", "109 m", "0.1 km", "110 m"],
     ["89 m", "111 m", "100", "-100 m"]),
    ({"accept": "12", "tolerance": 0}, ["12", "12.00", "24/2"], ["12.01", "11.99", "12 m"]),
    ({"accept": ["2 m", "3 m"]}, ["2 m", "300 cm", "3.0\\text{ m}"], ["2.5 m", "5 m",
    "2 m and 3 m"]),
    (0.75, ["0.75", "3/4", "\\frac{3}{4}", "0.751"], ["0.7", "4/3", "0.75 m", "nan", "inf",
    "1e999"]),
    ("6.02e23", ["6.02\\times10^{23}", "6.022e23"], ["6.02e22", "6.02", "6.02 \\times 10^{-23}"]),
    ("60 km/h", ["16.67 m/s", "60 km h^{-1}", "1 km/min"], ["60 m/s", "60", "60 km", "36 km/h"]),
]  # fmt: skip

TEXTS: list[Group] = [
    ("photosynthesis", ["Photosynthesis", "\\text{photosynthesis}", "photosynthesis."],
     ["respiration", "photosynthesis and respiration", "photo synthesis", "synthesis"]),
    (["mitochondrion", "mitochondria"], ["Mitochondria", "the mitochondrion",
    "\\text{mitochondria}"],
     ["nucleus", "mitochondria or nucleus", "mitochondrial", "chloroplast"]),
    ("H2O", ["H_2O", "H₂O", "\\mathrm{H_2O}", "\\ce{H2O}", "H_{2}O"], ["H2O2", "h2o", "OH",
    "water"]),
    ("CO", ["CO", "\\text{CO}", "$CO$"], ["Co", "CO2", "co", "C O", "C"]),
    ("NaCl", ["NaCl", "\\mathrm{NaCl}"], ["NaCl2", "KCl", "nacl", "NACL"]),
    ({"kind": "text", "accept": "C"}, ["C", "\\text{C}", "$C$"], ["Si", "carbon", "CC", "D"]),
    ("the electron", ["electron", "An electron", "The  Electron", "electron."], ["proton",
    "electronic"]),
    ("Newton's third law", ["Newton's third law", "newton's third law", "Newton's  third law."],
     ["Newton's second law", "third law", "Newton", "not Newton's third law"]),
    ("Yes", ["yes", "YES", "\\text{Yes}"], ["No", "yes and no", "y", "Yes, no"]),
    (["endothermic", "endothermal"], ["endothermic", "Endothermal"], ["exothermic", "thermic",
    "endo"]),
    ("SN2", ["SN2", "S_N2", "S_{N}2"], ["SN1", "sn2", "SN", "E2"]),
    ("increases", ["increases", "\\textbf{increases}", "Increases!"], ["decreases", "increase",
    "in"]),
    ("E. coli", ["E. coli", "e. coli", "\\textit{E. coli}"], ["S. aureus", "coli", "E"]),
    ("ribosome", ["ribosome", "a ribosome"], ["ribosomes and nuclei", "lysosome", "rib osome"]),
]  # fmt: skip


def _length(value: int) -> Group:
    """Metres in other prefixes; another size, sign, dimension or no unit."""
    rights = [f"{value} m", f"{value * 100} cm", f"{value / 1000:.6f} km", f"{value}\\text{{ m}}"]
    return f"{value} m", rights, [f"{value} cm", f"-{value} m", f"{value} s", f"{value}"]


def _energy(value: float) -> Group:
    """Joules in other units; powers and neighbours are wrong."""
    rights = [f"{value * 1000:.3f} J", f"{value}\\,\\mathrm{{kJ}}", f"{value / 4.184:.6f} kcal"]
    return f"{value} kJ", rights, [f"{value} J", f"{value} kW", f"{value * 1.05:.6f} kJ"]


def cases() -> list[Case]:
    """All of them."""
    lengths = [_length(value) for value in (3, 12, 450, 7200, 88)]
    energies = [_energy(value) for value in (1.5, 22.0, 310.0, 47.5, 0.83, 6.1, 98.0)]
    return framed([*CHOICES, *MORE_CHOICES, *NUMBERS, *lengths, *energies, *TEXTS])
