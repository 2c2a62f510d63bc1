"""What computes: a program of its own, which the tools start, give questions as JSON lines, and kill when it is late.

It shares no module with the host's side and knows nothing of codeact_tools, so it starts in the time that NumPy takes:

    grammar.py     text to a tree; the only way in which text of a model gets meaning
    walking.py     a tree to a value, with the names, functions and arithmetic of a vocabulary
    quantities.py  the vocabulary of units (Pint), and conversions
    constants.py   CODATA's table (SciPy)
    algebra.py     the vocabulary of symbols (SymPy): solving, simplifying, differentiating, integrating
    numerics.py    the vocabulary of floats: integrals, roots, minima, differential equations (SciPy)
    samples.py     statistics (SciPy)
    serving.py     the loop over questions
"""
