// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Who started this process, as which rank of how many, and where the ranks meet: from the
// environment.
#pragma once

#include <array>
#include <string>

namespace trainmeter {

struct Launch {
  enum class By { itself, mpi, slurm, torchrun };
  By by = By::itself;
  int rank = 0;
  int ranks = 1;
  std::string host = "127.0.0.1";  // of rank 0
  int port = 29501;                // where it listens
  std::string token;               // that the ranks of one run share
  std::string bind;                // address or interface where rank 0 listens; "": at host's
};

// The first of these that holds:
// mpi       OMPI_COMM_WORLD_SIZE and _RANK, PMI_SIZE and _RANK; srun --mpi=pmix: Slurm's two with
//           PMIX_RANK
// slurm     SLURM_STEP_NUM_TASKS (srun's own; a batch script has only SLURM_NTASKS), SLURM_PROCID
// torchrun  WORLD_SIZE, RANK; and before a launcher's, where both say one of several and they are
//           more than the launcher started, or TORCHELASTIC_RUN_ID says that torchrun set them:
//           torchrun in srun --ntasks-per-node=1
// host: MASTER_ADDR, else the first of SLURM_STEP_NODELIST. port: TRAINMETER_PORT, else one above
// MASTER_PORT. token: TRAINMETER_TOKEN, else what the launcher calls its run. bind:
// TRAINMETER_BIND. What is no number is as if it weren't set.
Launch launched();

// What can't be meant, in one line: a TRAINMETER_PORT or MASTER_PORT that is no port, a WORLD_SIZE
// or RANK that is no number, a rank that isn't there or isn't below the number of ranks. Empty
// where there is nothing.
std::string launch_mistake();

// All that launched() and node_name() read.
inline constexpr std::array kLaunchVariables = {"OMPI_COMM_WORLD_SIZE",
                                                "OMPI_COMM_WORLD_RANK",
                                                "PMI_SIZE",
                                                "PMI_RANK",
                                                "PMIX_RANK",
                                                "SLURM_STEP_NUM_TASKS",
                                                "SLURM_PROCID",
                                                "SLURM_STEP_NODELIST",
                                                "SLURM_JOB_ID",
                                                "SLURM_STEP_ID",
                                                "WORLD_SIZE",
                                                "RANK",
                                                "MASTER_ADDR",
                                                "MASTER_PORT",
                                                "TORCHELASTIC_RUN_ID",
                                                "TRAINMETER_PORT",
                                                "TRAINMETER_TOKEN",
                                                "TRAINMETER_BIND",
                                                "SLURMD_NODENAME"};

// As the system calls this machine: what shares its cores and memory.
std::string host_name();

// This node as Slurm names it (SLURMD_NODENAME, which a drain list needs), else as its host name.
std::string node_name();

// "node[007-012,20],login" -> "node007", "rack[1-2]node[01-04]-ib" -> "rack1node01-ib".
std::string first_host(const std::string& node_list);

}  // namespace trainmeter
