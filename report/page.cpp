// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Fills report/page/page.html, which the build embeds.
#include "report/page.hpp"

#include "report/markup.hpp"
#include "report/page_parts.hpp"

#include <fmt/format.h>

#include <cstdlib>
#include <string_view>

namespace trainmeter {
namespace {

namespace fs = std::filesystem;

// JSON that can stand inside a script element: no '<' ends it or opens a comment.
std::string json_in_page(const nlohmann::ordered_json& json) {
  std::string out;
  for (const char c : json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace))
    out += c == '<' ? std::string("\\u003c") : std::string(1, c);
  return out;
}

class Body {
 public:
  Body(const Numbers& numbers, bool with_charts) : numbers_(numbers), with_charts_(with_charts) {}

  void operator()(const Heading& h) {
    end_part();
    if (h.level == 3) {
      out_ +=
          fmt::format("<details class=\"part\"><summary>{}</summary>\n", escaped_markup(h.text));
      in_part_ = true;
    } else {
      out_ += fmt::format("<h{0}>{1}</h{0}>\n", h.level, escaped_markup(h.text));
    }
  }
  void operator()(const Paragraph& p) { out_ += "<p>" + escaped_markup(p.text) + "</p>\n"; }
  void operator()(const Lead& lead) {
    out_ += "<div class=\"lead\">\n";
    for (const Text& sentence : lead.sentences) out_ += "<p>" + text(sentence) + "</p>\n";
    out_ += "</div>\n";
  }
  void operator()(const Bullets& b) {
    out_ += "<ul>\n";
    for (const Text& item : b.items) out_ += "<li>" + text(item) + "</li>\n";
    out_ += "</ul>\n";
  }
  void operator()(const Table& t) {
    out_ +=
        "<div class=\"table\" tabindex=\"0\" role=\"region\" "
        "aria-label=\"table\"><table><thead><tr>";
    for (const std::string& column : t.columns)
      out_ += cell("th", column, escaped_markup(column_title(column)));
    out_ += "</tr></thead><tbody>\n";
    for (const auto& row : t.rows) {
      out_ += "<tr>";
      for (std::size_t c = 0; c < row.size(); ++c)
        out_ += cell("td", t.columns.at(c), text(row[c]));
      out_ += "</tr>\n";
    }
    out_ += "</tbody></table></div>\n";
  }
  void operator()(const Chart& c) {
    out_ += fmt::format("<figure id=\"{}\"><figcaption>{}</figcaption>\n", escaped_markup(c.id),
                        escaped_markup(c.title));
    if (with_charts_) {
      out_ += fmt::format(
          "<div class=\"chart\" id=\"chart-{}\" role=\"img\" aria-label=\"{}; the figures are in "
          "the table below\"></div>\n",
          escaped_markup(c.id), escaped_markup(c.title));
      charts_[c.id] = c.spec;
    }
    out_ += with_charts_ ? "<details><summary>The figures</summary>"
                         : "<details open><summary>The figures</summary>";
    (*this)(c.table);
    out_ += "</details></figure>\n";
  }

  std::string finished() {
    end_part();
    return out_;
  }
  [[nodiscard]] const nlohmann::ordered_json& charts() const { return charts_; }

 private:
  void end_part() {
    if (in_part_) out_ += "</details>\n";
    in_part_ = false;
  }
  [[nodiscard]] std::string text(const Text& t) const {
    if (t.number.empty() || numbers_.find(t.number) == nullptr) return escaped_markup(t.text);
    return fmt::format("<button type=\"button\" class=\"number\" data-number=\"{}\">{}</button>",
                       escaped_markup(t.number), escaped_markup(t.text));
  }
  static std::string cell(const char* element, const std::string& column,
                          const std::string& inside) {
    return fmt::format("<{0}{1}>{2}</{0}>", element,
                       right_aligned(column) ? " class=\"right\"" : "", inside);
  }

  const Numbers& numbers_;
  bool with_charts_;
  bool in_part_ = false;
  std::string out_;
  nlohmann::ordered_json charts_ = nlohmann::ordered_json::object();
};

std::string title_of(const Document& document) {
  for (const Block& block : document) {
    if (const auto* heading = std::get_if<Heading>(&block)) return heading->text;
  }
  return "trainmeter";
}

}  // namespace

std::optional<fs::path> chart_tools() {
  std::vector<fs::path> places;
  if (const char* named = std::getenv("TRAINMETER_CHARTS")) {
    places = {named};
  } else {
    std::error_code unreadable;
    const fs::path bin = fs::read_symlink("/proc/self/exe", unreadable).parent_path();
    places = {bin / "../share/trainmeter/charts", bin / "../charts"};
  }
  for (const fs::path& place : places) {
    if (fs::exists(place / "vega.js")) return place;
  }
  return std::nullopt;
}

std::string to_html(const Document& document, const Numbers& numbers, const std::string& library) {
  Body body(numbers, !library.empty());
  for (const Block& block : document) std::visit(body, block);
  std::string inside = body.finished();
  if (library.empty())
    inside +=
        "<p class=\"missing\">This page has no charts: their library was not there when it "
        "was written. In a clone of trainmeter, scripts/charts.sh gets it.</p>\n";
  // Each part stands in the page once, and none is searched for the next.
  const std::pair<std::string_view, std::string> parts[] = {
      {"{{title}}", escaped_markup(title_of(document))},
      {"{{style}}", std::string(kPageStyle)},
      {"{{body}}", std::move(inside)},
      {"{{numbers}}", json_in_page(to_json(numbers))},
      {"{{charts}}", json_in_page(body.charts())},
      {"{{library}}", library.empty() ? "" : "<script>\n" + library + "\n</script>"},
      {"{{script}}", std::string(kPageScript)}};
  std::string_view rest = kPage;
  std::string out;
  for (const auto& [name, text] : parts) {
    const std::size_t at = rest.find(name);
    out += rest.substr(0, at);
    out += text;
    rest.remove_prefix(at + name.size());
  }
  return out.append(rest);
}

}  // namespace trainmeter
