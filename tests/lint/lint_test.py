"""Plants what tools/lint forbids into a small tree and checks that it is named; and that what looks like it passes."""

import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

LINT = Path(__file__).resolve().parent.parent.parent / "tools/lint"

FORBIDDEN = {
    "a direct clock": [
        "auto t = std::chrono::steady_clock::now();",
        "auto t = std::chrono::system_clock::now();",
        "auto t = clock_type_clock::now ();",
        "clock_gettime(CLOCK_MONOTONIC, &spec);",
        "gettimeofday(&value, nullptr);",
        "auto t = time(nullptr);",
        "auto t = std::time(NULL);",
        "asio::steady_timer timer(context);",
    ],
    "a direct source of chance": [
        "std::random_device device;",
        "std::mt19937 engine;",
        "int n = rand();",
        "srand(42);",
        "getrandom(buffer, 8, 0);",
        'int fd = ::open("/dev/urandom", O_RDONLY);',
    ],
    "a direct thread": [
        "std::thread worker([] {});",
        "std::vector<std::jthread> workers;",
        "auto future = std::async(std::launch::async, f);",
        "pthread_create(&id, nullptr, f, nullptr);",
        "boost::asio::thread_pool pool(2);",
        "auto pid = fork();",
    ],
    "a direct sleep": [
        "std::this_thread::sleep_for(10ms);",
        "std::this_thread::sleep_until(deadline);",
        "usleep(100);",
        "::sleep(1);",
        "nanosleep(&request, nullptr);",
    ],
    "a direct socket": [
        "#include <sys/socket.h>",
        "#include <netinet/tcp.h>",
        "int s = ::socket(AF_INET, SOCK_STREAM, 0);",
        "int s = socket(AF_UNIX, SOCK_STREAM, 0);",
        "boost::asio::ip::tcp::socket socket(context);",
        "tcp::acceptor acceptor(context);",
        "beast::tcp_stream stream(context);",
    ],
}

ALLOWED = [
    "// std::thread and sleep_for() are not for us",
    "/* std::random_device\n   std::thread */",
    'const char* text = "std::this_thread::sleep_for";',
    'auto text = R"x(time(nullptr) "quoted" rand())x";',
    "auto separated = 1'000'000; auto c = '\"'; auto t = clock.now(); auto d = '\"';",
    "std::thread::id owner;",
    "auto timeout = ctx.sleep(10ms);",
    "auto next_time = wall_time(nothing);",
    "Random& random; random.next();",
    "auto s = session.socket();",
    "Task<void> sleep(Duration how_long);",
]


class LintTest(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.root = Path(self.folder.name)

    def write(self, name, text):
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def lint(self, *arguments):
        result = subprocess.run([sys.executable, str(LINT), "--root", str(self.root), *arguments],
                                capture_output=True, text=True)
        self.assertNotIn("Traceback", result.stderr)
        return result.returncode, result.stdout

    def assert_found(self, check, place, what):
        code, output = self.lint(check)
        self.assertEqual(code, 1, f"nothing found, expected {place} {what}")
        self.assertRegex(output, rf"(?m)^{place}: .*{what}")

    def assert_clean(self, check):
        code, output = self.lint(check)
        self.assertEqual((code, output), (0, ""))

    def test_each_forbidden_thing_is_named_with_its_line(self):
        for what, lines in FORBIDDEN.items():
            for line in lines:
                with self.subTest(line):
                    self.write("plexspaces/store/log.cpp", f"// first\n{line}\n")
                    self.assert_found("ports", "plexspaces/store/log.cpp:2", what)

    def test_what_only_looks_like_it_passes(self):
        for text in ALLOWED:
            with self.subTest(text):
                self.write("plexspaces/store/log.cpp", text + "\n")
                self.assert_clean("ports")

    def test_code_after_a_string_or_comment_is_still_seen(self):
        self.write("plexspaces/store/log.cpp", "auto a = '\"'; /* b */ std::thread c; // d\n")
        self.assert_found("ports", "plexspaces/store/log.cpp:1", "a direct thread")

    def test_the_ports_tests_and_programs_may_touch_the_world(self):
        for name in ("plexspaces/env/posix/clock.cpp", "plexspaces/store/log_test.cpp", "plexspaces/testkit/kit.cpp",
                     "apps/plexspaces/main.cpp", "sdk/c/sdk.cpp", "bench/bench.cpp"):
            self.write(name, "std::thread worker;\n")
        self.assert_clean("ports")

    def test_text_rules_name_file_and_line(self):
        for name, text, what in (
                ("a.cpp", "int a;\n// FIX" "ME: later\n", "does not land"),
                ("a.cpp", "int a;\n\tint b;\n", "a tab"),
                ("a.md", "a\nb \n", "trailing white space"),
                ("a.py", "a = 1\nb = '/" "home/someone/b'\n", "absolute path"),
        ):
            with self.subTest(what):
                self.write(name, text)
                self.assert_found("text", f"{name}:2", what)
                (self.root / name).unlink()

    def test_a_header_needs_pragma_once(self):
        self.write("plexspaces/a.hpp", "int a;\n")
        self.assert_found("text", "plexspaces/a.hpp:1", "pragma once")

    def test_a_file_ends_with_a_newline(self):
        self.write("a.cpp", "int a;\nint b;")
        self.assert_found("text", "a.cpp:2", "no newline")

    def test_planted_bugs_live_only_in_module_sources(self):
        for name in ("plexspaces/a.hpp", "plexspaces/a_test.cpp", "apps/plexspaces/main.cpp"):
            with self.subTest(name):
                self.write(name, "#pragma once\n#ifdef PLX_BUG_X\n#endif\n")
                self.assert_found("text", f"{name}:1", "planted bug")
                (self.root / name).unlink()
        self.write("plexspaces/a.cpp", "#ifdef PLX_BUG_X\n#endif\n")
        self.assert_clean("text")

    def test_makefiles_have_tabs_and_licences_stay_as_they_are(self):
        self.write("Makefile", "all:\n\ttrue\n")
        self.write("LICENSE", "text\t\n")
        self.assert_clean("text")

    def test_a_wrong_format_is_named_and_fixed(self):
        self.write(".clang-format", (LINT.parent.parent / ".clang-format").read_text())
        self.write("a.cpp", "int   a;\n")
        self.assert_found("format", "a.cpp:1", "make format")
        self.assertEqual(self.lint("format", "--fix")[0], 0)
        self.assertEqual((self.root / "a.cpp").read_text(), "int a;\n")
        self.assert_clean("format")

    def test_error_codes_and_their_pages_agree(self):
        self.write("plexspaces/base/a.cpp", 'auto a = "PLX-ABC-0001";\nauto b = "PLX-ABC-0002";\n')
        self.write("docs/errors/PLX-ABC.md", "# PLX-ABC\n\n## PLX-ABC-0001: one\n\n## PLX-ABC-0002: two\n")
        self.assert_clean("errors")
        self.write("docs/errors/PLX-ABC.md", "# PLX-ABC\n\n## PLX-ABC-0001: one\n\nPLX-ABC-0002 in text only\n")
        self.assert_found("errors", "plexspaces/base/a.cpp:2", "PLX-ABC-0002 has no heading")
        self.write("docs/errors/PLX-ABC.md", "## PLX-ABC-0001\n## PLX-ABC-0002\n## PLX-ABC-0003\n")
        self.assert_found("errors", "docs/errors/PLX-ABC.md:3", "PLX-ABC-0003 is in no source")
        self.write("docs/errors/PLX-ABC.md", "## PLX-ABC-0001\n## PLX-ABC-0002\n## PLX-ABC-0002\n")
        self.assert_found("errors", "docs/errors/PLX-ABC.md:3", "has a heading already")

    def test_code_in_the_docs_is_that_of_its_source_and_is_written_by_the_tool(self):
        self.write("a/a.cpp", "int x;\n  // docs-snippet: two\n  int y;\n    int z;\n  // docs-snippet-end\n")
        page = "# A\n\n<!-- snippet: a/a.cpp two -->\n```cpp\nint y;\n  int z;\n```\nend\n"
        self.write("README.md", page)
        self.assert_clean("docs")
        self.write("README.md", page.replace("int z", "int w"))
        self.assert_found("docs", "README.md:3", "differs from its source")
        subprocess.run([sys.executable, str(LINT.parent / "docs-snippets"), "--root", str(self.root)],
                       check=True, capture_output=True)
        self.assertEqual((self.root / "README.md").read_text(), page)
        self.write("README.md", page.replace(" two ", " three "))
        self.assert_found("docs", "README.md:3", "has no region")
        self.write("README.md", page.replace("a.cpp", "b.cpp"))
        self.assert_found("docs", "README.md:3", "there is no source")
        self.write("README.md", page.replace("```cpp", ""))
        self.assert_found("docs", "README.md:3", "fenced block")
        self.write("README.md", page)
        self.write("a/a.cpp", "// docs-snippet: two\nint y;\n")
        self.assert_found("docs", "a/a.cpp:1", "has no docs-snippet-end")

    def test_links_lead_to_files(self):
        self.write("docs/a.md", "[b](b.md#part) [site](https://example.org) `[c](c.md)`\n")
        self.assert_found("docs", "docs/a.md:1", "b.md")
        self.write("docs/b.md", "[a](a.md)\n")
        self.assert_clean("docs")


if __name__ == "__main__":
    unittest.main()
