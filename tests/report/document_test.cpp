// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Text is aligned and plain where nobody looks; Markdown is valid.
#include "report/document.hpp"

#include <gtest/gtest.h>

using namespace trainmeter;

namespace {
const Document kDocument = {Heading{1, "Title"}, Paragraph{"one two three four"},
                            Table{{"name", ">value"}, {{"a", "1"}, {"longer", "1,000"}}},
                            Bullets{{"x | y"}}};
}

TEST(Document, TextIsAligned) {
  EXPECT_EQ(to_text(kDocument, {.colour = false, .width = 10}),
            "Title\n=====\n\n"
            "one two\nthree four\n\n"
            "  name    value\n"
            "  a           1\n"
            "  longer  1,000\n\n"
            "  - x | y\n");
}

TEST(Document, ColourOnlyWhenAsked) {
  EXPECT_EQ(to_text(kDocument, {.colour = false}).find('\033'), std::string::npos);
  EXPECT_NE(to_text(kDocument, {.colour = true}).find("\033[1mTitle\033[0m"), std::string::npos);
}

TEST(Document, Markdown) {
  EXPECT_EQ(to_markdown({Heading{2, "T"}, Table{{"a", ">b"}, {{"x|y", "1"}}}}),
            "## T\n\n| a | b |\n| --- | ---: |\n| x\\|y | 1 |\n");
}

// What a file says goes to a terminal: none of it may steer it.
TEST(Document, ControlCharactersAreReplaced) {
  const std::string bad = "a\x1b[31mb\x07\x7f\u009bc\nd";
  const Document document = {Heading{1, bad}, Paragraph{bad}, Bullets{{Text(bad)}},
                             Table{{"n"}, {{Text(bad)}}}, Lead{{Text(bad)}}};
  for (const std::string& text : {to_text(document, {.colour = false}), to_markdown(document)}) {
    for (const char* hidden : {"\x1b", "\x07", "\x7f", "\u009b", "c\nd"})
      EXPECT_EQ(text.find(hidden), std::string::npos) << text;
  }
  EXPECT_NE(to_text(document, {.colour = false}).find("a?[31mb???c d\n====="), std::string::npos);
  EXPECT_EQ(to_text({Table{{"n", ">v"}, {{"\u009b", "1"}, {"e", "2"}}}}, {}),
            "  n  v\n  ?  1\n  e  2\n");
}

TEST(Document, WidthCountsCharactersNotBytes) {
  const std::string text = to_text({Table{{"n", ">v"}, {{"\u00e9", "1"}, {"e", "2"}}}}, {});
  EXPECT_EQ(text, "  n  v\n  \u00e9  1\n  e  2\n");
}
