"""What cmake/PlexModules.cmake refuses while CMake configures, and that it says which edge."""

import argparse
import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
CMAKE = "cmake"

# Header-only modules: no compiler is needed to configure them.
PROJECT = f"""
cmake_minimum_required(VERSION 3.25)
project(edges LANGUAGES NONE)
include("{ROOT}/cmake/PlexModules.cmake")
add_library(plx_flags INTERFACE)
"""

# Three modules in their order, one of them with two sub-modules and a folder that is part of it.
GOOD = {
    "base/CMakeLists.txt": "plx_module(base)",
    "base/error.hpp": "#pragma once\n",
    "env/CMakeLists.txt": "plx_module(env DEPENDS base)\nadd_subdirectory(posix)\nadd_subdirectory(other)",
    "env/clock.hpp": '#include "plexspaces/base/error.hpp"\n#include "plexspaces/env/detail/wheel.hpp"\n',
    "env/detail/wheel.hpp": '#include "plexspaces/base/error.hpp"  // why; not\n',
    "env/posix/CMakeLists.txt": "plx_module(env/posix DEPENDS env)",
    "env/posix/clock.hpp": '#include "plexspaces/base/error.hpp"\n#include "plexspaces/env/clock.hpp"\n',
    "env/other/CMakeLists.txt": "plx_module(env/other DEPENDS env)",
    "env/other/clock.hpp": "#pragma once\n",
    "store/CMakeLists.txt": "plx_module(store DEPENDS env)",
    "store/store.hpp": '#include "plexspaces/env/clock.hpp"\n',
}


class ModuleEdgesTest(unittest.TestCase):
    def configure(self, changes=(), arguments=()):
        """Configures GOOD with `changes` on top. Returns the exit code and what CMake said, on one line."""
        with tempfile.TemporaryDirectory() as folder:
            folder = Path(folder)
            for name, text in {**GOOD, **dict(changes)}.items():
                path = folder / "source/plexspaces" / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text)
            modules = "".join(f"add_subdirectory(plexspaces/{module})\n" for module in ("base", "env", "store"))
            (folder / "source/CMakeLists.txt").write_text(PROJECT + modules)
            environment = {**os.environ, "LC_ALL": "C"}
            result = subprocess.run([CMAKE, "-S", str(folder / "source"), "-B", str(folder / "build"), *arguments],
                                    capture_output=True, text=True, env=environment)
            return result.returncode, " ".join((result.stdout + result.stderr).split())

    def assert_refused(self, changes, *said, arguments=()):
        code, output = self.configure(changes, arguments)
        self.assertNotEqual(code, 0, output)
        for part in said:
            self.assertIn(part, output)

    def test_edges_to_modules_above_pass(self):
        code, output = self.configure()
        self.assertEqual(code, 0, output)

    def test_an_upward_edge_is_refused_by_name(self):
        self.assert_refused({"base/CMakeLists.txt": "plx_module(base DEPENDS store)"},
                            "forbidden edge base -> store: upward")

    def test_a_sideways_edge_is_refused_by_name(self):
        self.assert_refused({"env/other/CMakeLists.txt": "plx_module(env/other DEPENDS env/posix)"},
                            "forbidden edge env/other -> env/posix: sideways")

    def test_a_module_does_not_depend_on_itself(self):
        self.assert_refused({"store/CMakeLists.txt": "plx_module(store DEPENDS store)"},
                            "forbidden edge store -> store: sideways")

    def test_an_include_upward_is_refused_by_name_and_file(self):
        self.assert_refused({"base/error.hpp": '#include "plexspaces/store/store.hpp"\n'},
                            "forbidden edge base -> store", "base/error.hpp")

    def test_an_undeclared_include_downward_is_refused(self):
        self.assert_refused({"store/CMakeLists.txt": "plx_module(store DEPENDS base)"},
                            "forbidden edge store -> env", "store/store.hpp")

    def test_an_undeclared_include_of_a_sub_module_is_refused(self):
        self.assert_refused({"store/store.hpp": '#include "plexspaces/env/posix/clock.hpp"\n'},
                            "forbidden edge store -> env/posix", "store/store.hpp")

    def test_an_include_in_an_inner_folder_is_seen(self):
        self.assert_refused({"env/detail/wheel.hpp": '#include "plexspaces/store/store.hpp"\n'},
                            "forbidden edge env -> store", "env/detail/wheel.hpp")

    def test_every_spelling_of_an_include_is_seen(self):
        for line in ("#include <plexspaces/store/store.hpp>", "  #  include \"plexspaces/store/store.hpp\"",
                     "#include \"plexspaces/store/store.hpp\"  // for Store; really"):
            with self.subTest(line):
                self.assert_refused({"base/error.hpp": line + "\n"}, "forbidden edge base -> store")

    def test_a_relative_include_is_refused(self):
        self.assert_refused({"base/error.hpp": '#include "../store/store.hpp"\n'}, "relative include", "base/error.hpp")

    def test_a_module_in_link_is_refused(self):
        self.assert_refused({"base/CMakeLists.txt": "plx_module(base LINK plexspaces_store)"}, "names a module in LINK")

    def test_a_module_outside_the_order_is_refused(self):
        self.assert_refused({"base/CMakeLists.txt": "plx_module(basement)"}, "module 'basement' is not in PLX_MODULE_ORDER")

    def test_a_module_that_is_not_there_is_refused(self):
        self.assert_refused({"store/CMakeLists.txt": "plx_module(store DEPENDS env codec)"},
                            "unknown module 'codec' in the DEPENDS of 'store'")

    def test_a_planted_bug_that_no_source_knows_is_refused(self):
        self.assert_refused({}, "PLX_BUG_NO_SUCH", "plants nothing", arguments=["-DPLX_PLANTED_BUG=no_such"])


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--cmake", default=CMAKE)
    arguments, rest = parser.parse_known_args()
    CMAKE = arguments.cmake
    unittest.main(argv=[sys.argv[0], *rest])
