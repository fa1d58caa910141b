"""What the public headers cost the compiler, and what it says about mistakes: each file of mistakes/ is compiled (its
syntax only) and its messages are read.

A file says what it expects in its comments:
    // expect: words        the first error has these words in its first line, no more than LINES_AFTER lines follow;
                            several such lines: all of the words
    ...  // warns           the compiler warns of this line (-Wunused-result), and of no other
    (neither)               it compiles without a warning
"""

import argparse
import re
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
FLAGS = ["-std=c++23", "-Wall", "-Wextra", f"-I{ROOT}", "-fno-color-diagnostics"]
LINES_AFTER = 10
PUBLIC = ["plexspaces", "fsm", "event", "supervision", "local", "testkit"]
HEADERS = "".join(f'#include "plexspaces/{name}.hpp"\n' for name in PUBLIC) + "#include <map>\n#include <tuple>\n"
# What clang makes of a program with plexspaces.hpp alone, examples/first_actor. It costs about two seconds of CPU then;
# with 573,000 types it cost six. Counted and not timed, so that a busy machine counts the same.
PROGRAM = ROOT / "examples/first_actor/main.cpp"
TYPES_MAX = 265_000
DECLARATIONS_MAX = 152_000
FOREIGN = ("/fmt/", "/boost/", "/google/", "sqlite3", "/gtest/", "/algorithm", "/ranges", "/regex", "/iostream")
COMPILER = "clang++-19"


class DiagnosticsTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        header = Path(cls.folder.name) / "all.hpp"
        header.write_text(HEADERS)
        cls.precompiled = f"{header}.pch"
        made = subprocess.run([COMPILER, *FLAGS, "-x", "c++-header", str(header), "-o", cls.precompiled],
                              capture_output=True, text=True)
        cls.warnings_of_headers = made.stderr
        if made.returncode != 0:
            raise AssertionError(f"the public headers do not compile:\n{made.stderr}")

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def compile(self, path):
        run = subprocess.run([COMPILER, *FLAGS, "-include-pch", self.precompiled, "-fsyntax-only", str(path)],
                             capture_output=True, text=True)
        return run.returncode, run.stderr

    def test_public_headers_do_not_warn(self):
        self.assertEqual(self.warnings_of_headers, "")

    def test_a_program_with_the_main_header_keeps_its_budget(self):
        said = subprocess.run([COMPILER, *FLAGS, "-fsyntax-only", "-Xclang", "-print-stats", str(PROGRAM)],
                              capture_output=True, text=True, check=True).stderr
        types, declarations = (int(re.search(rf"(\d+) {what} total", said)[1]) for what in ("types", "decls"))
        self.assertLessEqual(types, TYPES_MAX, "a header has become dearer: clang -ftime-trace shows which")
        self.assertLessEqual(declarations, DECLARATIONS_MAX, "a header has become dearer: -ftime-trace shows which")

    def test_the_main_header_brings_no_other_library(self):
        said = subprocess.run([COMPILER, *FLAGS, "-M", str(PROGRAM)], capture_output=True, text=True, check=True).stdout
        for header in said.replace("\\\n", " ").split():
            self.assertFalse(any(header.endswith(name) or name.endswith("/") and name in header for name in FOREIGN), header)

    def test_a_header_that_compiles_alone_links_alone(self):
        # A template that is used and not defined would be the linker's matter.
        for path in sorted((HERE / "alone").glob("*.cpp")):
            run = subprocess.run([COMPILER, *FLAGS, "-Werror=undefined-func-template", "-Werror=undefined-inline",
                                  "-Werror=undefined-internal", "-fsyntax-only", str(path)], capture_output=True, text=True)
            self.assertEqual((run.returncode, run.stderr), (0, ""), path)


def check(path):
    text = path.read_text()
    expected = re.findall(r"^// expect: (.*)$", text, re.MULTILINE)
    warned = {n for n, line in enumerate(text.splitlines(), 1) if line.endswith("// warns")}

    def test(self):
        code, said = self.compile(path)
        lines = said.splitlines()
        errors = [i for i, line in enumerate(lines) if " error: " in line]
        if expected:
            self.assertNotEqual(code, 0, "it compiles")
            for words in expected:
                self.assertIn(words, lines[errors[0]], said)
            after = [line for line in lines[errors[0] + 1 :] if not line.endswith(" generated.")]
            self.assertLessEqual(len(after), LINES_AFTER, said)
        else:
            self.assertEqual(code, 0, said)
            found = {int(n) for n in re.findall(rf"^{re.escape(str(path))}:(\d+):\d+: warning: ", said, re.MULTILINE)}
            self.assertEqual(found, warned, said)
            self.assertEqual(said.count("warning:"), said.count("-Wunused-result"), said)

    return test


for mistake in sorted((HERE / "mistakes").glob("*.cpp")):
    setattr(DiagnosticsTest, f"test_{mistake.stem}", check(mistake))

if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--compiler", default=COMPILER)
    arguments, rest = parser.parse_known_args()
    COMPILER = arguments.compiler
    unittest.main(argv=[sys.argv[0], *rest])
