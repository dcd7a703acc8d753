// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// The commands report and explain: a story as text, Markdown, JSON or a page, and one of its
// numbers followed to where it comes from.
#include "record/error.hpp"
#include "report/child.hpp"
#include "report/command.hpp"
#include "report/numbers.hpp"
#include "report/page.hpp"
#include "report/story.hpp"

#include <fmt/format.h>

#include <filesystem>
#include <fstream>
#include <iterator>

namespace trainmeter {
namespace {

namespace fs = std::filesystem;

constexpr const char* kOurs = "results/measured";

struct StoryCommand : Command {
  using Command::Command;
  std::vector<std::string> records;
  bool published = false;
  std::string run_id;
  std::optional<double> price;

  void story_options(CLI::App& app) {
    app.add_option(
        "RECORD", records,
        "records, or folders (the newest in each, by its header); default results/measured");
    app.add_flag("--published", published, "no record: what others published, alone");
    app.add_option("--run", run_id,
                   "the run that is carried to the measured machine: id or file; default "
                   "gpt2-124m-10b, with --published deepseek-v3-step");
    app.add_option("--price", price, "USD per device-hour")->check(dollars());
  }

  [[nodiscard]] Story story(bool with_validation) const {
    const Library library(published_data());
    StoryOptions options{.predict = {.price_usd_per_gpu_hour = price}, .validate = with_validation};
    if (published) {
      if (!records.empty()) throw BadInput("--published: expected no record beside it");
      options.run = run_id.empty() ? "deepseek-v3-step" : run_id;
      return tell_published(library, options);
    }
    if (!run_id.empty()) options.run = run_id;
    return tell(read_records(records.empty() ? std::vector<std::string>{kOurs} : records), library,
                options);
  }
};

std::string chart_library() {
  const auto tools = chart_tools();
  if (!tools) {
    warn({"the page has no charts: no vega.js (scripts/charts.sh gets it)"});
    return "";
  }
  std::ifstream in(*tools / "vega.js", std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

// Draws the document's charts as `stem`ID.svg. Whether it could.
bool draw_charts(const Document& document, const std::string& stem) {
  const auto tools = chart_tools();
  if (!tools || !fs::exists(*tools / "draw.py")) {
    warn({"no pictures: no chart converter (scripts/charts.sh gets it)"});
    return false;
  }
  auto specs = nlohmann::ordered_json::object();
  for (const Block& block : document) {
    if (const auto* chart = std::get_if<Chart>(&block)) specs[chart->id] = chart->spec;
  }
  const std::vector<std::string> command = {(*tools / "venv/bin/python").string(),
                                            (*tools / "draw.py").string(), stem};
  if (run_visibly(command, dumped(specs)) != 0)
    throw EnvironmentFailed(fmt::format("{}: the chart converter failed", stem));
  return true;
}

struct ReportCommand : StoryCommand {
  Output output;

  ReportCommand() : StoryCommand("report", "the whole story of one or more records") {}

  void options(CLI::App& app) override {
    story_options(app);
    app.add_option("--format", output.format,
                   "text, md (with a file: and its charts as SVG beside it), json or html")
        ->check(CLI::IsMember({"text", "md", "json", "html"}));
    app.add_flag("--ascii", output.ascii, "bars of # in text");
    app.add_option("-o,--output", output.file, "write here instead of to stdout");
  }

  int run() override {
    if (!output.file.empty()) require_writable(output.file);
    const Story told = story(output.format != "text");
    const bool page = output.format == "html";
    const Document document = to_document(told, page ? Claims::in_full : Claims::table);
    if (page) {
      put(output.file, to_html(document, numbers_of(told), chart_library()));
    } else if (output.format == "md" && !output.file.empty() && will_be_regular(output.file)) {
      const fs::path file = output.file;
      const std::string stem = file.stem().string() + "-";
      const bool drawn = draw_charts(document, (file.parent_path() / stem).string());
      put(output.file, to_markdown(document, drawn ? stem : ""));
    } else {
      output.write(document, [&] {
        auto json = to_json(told);
        json["numbers"] = to_json(numbers_of(told));
        return json;
      });
    }
    return kFine;
  }
};

struct ExplainCommand : StoryCommand {
  std::string id;

  ExplainCommand() : StoryCommand("explain", "where a number of a report comes from") {}

  void options(CLI::App& app) override {
    app.add_option("NUMBER", id, "its id: in a page, a click on the number shows it")->required();
    story_options(app);
  }

  int run() override {
    put("", chain_of(numbers_of(story(id.starts_with("validate/"))), id));
    return kFine;
  }
};

}  // namespace

void add_report_commands(std::vector<std::unique_ptr<Command>>& to) {
  to.push_back(std::make_unique<ReportCommand>());
  to.push_back(std::make_unique<ExplainCommand>());
}

}  // namespace trainmeter
