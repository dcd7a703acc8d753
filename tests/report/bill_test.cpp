// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// The bill of published runs: what recomputation repeats, and what is exchanged once a step.
#include "report/factors.hpp"
#include "report/predict.hpp"
#include "report/step_time.hpp"

#include "predict_fixtures.hpp"
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <numeric>

using namespace trainmeter;

namespace {

Bill bill_of(const trainmeter::Run& run) {
  RateBook book;
  book.add_published(library(), *run.system);
  const FactorTable table = read_factors(library().root() / "factors.json");
  return candidates(run, *run.system, book, table.medians()).front().bill;
}

trainmeter::Run deepseek(Recompute recompute) {
  trainmeter::Run run = library().run("deepseek-v3-step");
  run.parallel->recompute = recompute;
  return run;
}

double gemms(const SlotBill& slot) {
  return slot.work[Work::gemm] + slot.work[Work::gemm_high];
}

double seconds_of(const Bill& bill, const std::string& beginning) {
  return std::accumulate(bill.rates.begin(), bill.rates.end(), 0.0,
                         [&](double sum, const UsedRate& used) {
                           return sum + (used.what.starts_with(beginning) ? used.share : 0);
                         });
}

}  // namespace

TEST(Bill, SelectiveRecomputationRepeatsMlasProjectionsUp) {
  const Bill none = bill_of(deepseek(Recompute::none));
  const Bill selective = bill_of(deepseek(Recompute::selective));
  for (const char* again : {"q_b fprop", "kv_b fprop"})
    EXPECT_NEAR(seconds_of(selective, again) / seconds_of(none, again), 2, 1e-9) << again;
  for (const char* once : {"q_b dgrad", "kv_b wgrad", "q_a fprop", "expert_up fprop"})
    EXPECT_NEAR(seconds_of(selective, once) / seconds_of(none, once), 1, 1e-9) << once;
  const LayerBill& with = selective.layers.at(LayerKind::moe);
  const LayerBill& without = none.layers.at(LayerKind::moe);
  const double more = gemms(with.backward_input) - gemms(without.backward_input);
  EXPECT_GT(more, 0);
  EXPECT_LT(more, gemms(with.forward));
  EXPECT_NEAR(gemms(with.forward) / gemms(without.forward), 1, 1e-12);
}

// The weights of both ends of the pipeline, and of all its experts: 2 bytes of each are gathered.
TEST(Bill, DualPipesRanksExchangeBothTheirStages) {
  const trainmeter::Run run = deepseek(Recompute::selective);
  const Bill bill = bill_of(run);
  const Layout& l = bill.layout;
  double most = 0;
  for (std::size_t rank = 0; rank < bill.stages.size(); ++rank) {
    const StageWeights one = stage_weights(*run.model, l, bill.stages[rank]);
    const StageWeights other =
        stage_weights(*run.model, l, bill.stages[bill.stages.size() - 1 - rank]);
    most = std::max(most, one.common + other.common + one.routed + other.routed);
  }
  ASSERT_GT(most, 0);
  const double network = *run.system->nic_bytes_per_s;
  // At least the common weights' bytes over the network, at most all of them.
  EXPECT_LT(bill.weights.network_s, most * 2 / network);
  EXPECT_GT(bill.gradients.network_s / bill.weights.network_s, 1.9);  // fp32 against bf16
  EXPECT_LT(bill.gradients.network_s / bill.weights.network_s, 2.1);
}

TEST(Bill, FsdpUnderAPipelineExchangesOnceAStep) {
  const trainmeter::Run run = library().run("torchtitan-h100-t5a");
  ASSERT_GT(run.parallel->pp, 1);
  const Bill bill = bill_of(run);
  EXPECT_GT(bill.gradients.network_s + bill.gradients.node_s + bill.gradients.fixed_s, 0);
  EXPECT_GT(bill.weights.network_s + bill.weights.node_s + bill.weights.fixed_s, 0);
  for (const CommBill& comm : bill.layers.at(LayerKind::dense).forward.comm)
    EXPECT_NE(comm.name, kGatheredWeights);
}

// Ranks lie tp first, then cp, dp, pp: 16 stages of a GPU are on two nodes, and so are two
// neighbours among them.
TEST(Bill, PipelineSendsBetweenNodesCountAsTheNetworks) {
  for (const std::int64_t gpus : {8, 16}) {
    nlohmann::json json = {{"id", "stages"},
                           {"title", "Stages of one GPU"},
                           {"model", "llama-2-7b"},
                           {"system", "h100"},
                           {"gpus", gpus},
                           {"seq_len", 4096},
                           {"global_batch_sequences", 32}};
    json["parallel"] = {{"pp", gpus}, {"schedule", "1f1b"}, {"recompute", "full"}};
    const Bill bill = bill_of(read_run(StrictObject(json, "mine.json"), library()));
    EXPECT_EQ(bill.send.network_s > 0, gpus > 8) << gpus;
    EXPECT_EQ(bill.send.node_s > 0, gpus <= 8) << gpus;
  }
}

// What torchtitan and Composer reduce in by default, with a pipeline and without one.
TEST(Bill, GradientsAreReducedInTheTypeOfTheirSoftware) {
  const auto bytes = [](std::optional<std::string> software, std::int64_t pp) {
    trainmeter::Run run = library().run("torchtitan-h100-t5a");
    run.parallel->pp = pp;
    run.parallel->dp.reset();
    run.parallel->schedule.reset();
    run.parallel->vpp.reset();
    run.context.software = std::move(software);
    const Bill bill = bill_of(run);
    if (pp > 1) return bill.gradients.network_s / bill.weights.network_s;
    double gathered = 0, scattered = 0;
    for (const CommBill& c : bill.layers.at(LayerKind::dense).backward_input.comm) {
      if (c.name == kGatheredWeights) gathered += c.network_s;
      if (c.name == "dp_reduce_scatter") scattered += c.network_s;
    }
    return scattered / gathered;
  };
  for (const std::int64_t pp : {1, 2}) {
    EXPECT_NEAR(bytes("torchtitan of December 2024", pp), 2, 1e-12) << pp;
    EXPECT_NEAR(bytes(std::nullopt, pp), 2, 1e-12) << pp;
    EXPECT_NEAR(bytes("llm-foundry, PyTorch FSDP FULL_SHARD", pp), 1, 1e-12) << pp;
  }
}
