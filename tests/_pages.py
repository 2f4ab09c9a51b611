"""What the tests of the README and of docs/ share: fenced blocks, and Python that prints what it says."""

import re

NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:e-?\d+)?")


def blocks(text, language):
    """The fenced blocks of a language, in order."""
    fenced = re.findall(r"^```(\w*)\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    return [inside for name, inside in fenced if name == language]


def folded(text):
    """The lines with their white space as single blanks.

    Of the best schedule the score alone is left: rounding breaks the ties between schedules.
    """
    lines = (" ".join(line.split()) for line in text.splitlines())
    return [re.sub(r"^(best \| [\d.]+ \|).*", r"\1", line) for line in lines]


def is_rule(line):
    """Whether a line only rules a table."""
    return not set(line) - set("-+")


def check_python(text, name, capsys):
    """Run the Python of a page, as one program; every print has a comment that says what it prints.

    Numbers are right to the last digit shown: 0.7105... is within 1e-4. Returns how many were compared.
    """
    code = "".join(blocks(text, "python"))
    exec(compile(code, name, "exec"), {})
    printed = capsys.readouterr().out.splitlines()
    promised = re.findall(r"^print\(.*\) +# (.*)$", code, re.MULTILINE)
    assert len(printed) == len(promised) == code.count("print(")
    for line, comment in zip(printed, promised, strict=True):
        shown = NUMBER.findall(comment.split(": ")[-1])
        assert shown
        for found, wanted in zip(NUMBER.findall(line), shown, strict=True):
            digits = len(wanted.partition(".")[2])
            assert abs(float(found) - float(wanted)) < 10.0**-digits, (line, comment)
    return len(promised)
