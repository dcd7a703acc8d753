// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// What a collective moves over the links, by algorithm, and what a link of a known rate lets expect
// of it. Payloads as nccl-tests counts them. Bytes, seconds.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

namespace trainmeter {

// Bytes that the busiest rank sends or gets, whichever is more, for each byte of the payload, with
// n ranks. NaN where the algorithm isn't one for it, or isn't known.
//
// allreduce      ring, two_shot  2(n-1)/n   n - 1 of n parts away and n - 1 sums round (Patarasuk
//                                           and Yuan 2009); each part to its owner, each sum back
//                tree            2          for two ranks 1: two trees with half of the payload
//                                           each, 1/2 up and 1/2 to each of two children in one,
//                                           1/2 up in the other (Sanders, Speck, Traeff 2009; NCCL
//                                           since 2.4)
//                one_shot        n-1        the payload to every other rank
//                nvls            (n+1)/n    the switch reads the payload of every rank to add it
//                                           (1), and a rank gives its n-th of the sum (1/n) for
//                                           all: what multimem.ld_reduce and multimem.st do (PTX
//                                           ISA)
// allgather, reducescatter  ring, direct  (n-1)/n;  nvls 1, its own part comes back with the others
// broadcast, reduce         ring  1
// alltoall, alltoallv       direct  (n-1)/n
// sendrecv, dispatch, combine  direct  1
double wire_factor(std::string_view collective, std::string_view algorithm, std::int64_t ranks);

// Where `ranks_per_host` of the ranks share a host, and all its NICs: bytes that a rank's share of
// them sends or gets, whichever is more, for each byte of the payload. 0 on one host. A ring, and a
// tree of NCCL's, enters and leaves each host once, whose other ranks pass it on inside; what goes
// from each to each has the rank's own. NaN as above.
//
// allreduce, allgather, reducescatter, broadcast, reduce  ring  wire_factor / ranks_per_host
// allreduce                 tree    wire_factor of the hosts / ranks_per_host
// alltoall, alltoallv       direct  (n - ranks_per_host)/n
// sendrecv                  direct  1
double between_factor(std::string_view collective, std::string_view algorithm, std::int64_t ranks,
                      std::int64_t ranks_per_host);

// The algorithm of a row: of its note `algorithm` the first word ("one_shot, blocks of ..."), or
// "direct" for what is sent from each to each. "" where nobody told.
std::string wire_algorithm(std::string_view collective,
                           const std::map<std::string, std::string>& notes);

// The least and the most that one of NCCL's algorithms puts on the wire, where which one it chose
// isn't known: ring, tree, nvls.
struct WireRange {
  double least = 0, most = 0;
};
WireRange nccl_wire_range(std::string_view collective, std::int64_t ranks);

// One way, of each rank. 0: none known.
struct LinkRates {
  double inside = 0;   // between ranks of a host (NVLink)
  double between = 0;  // between hosts (the rank's share of the host's NICs)
};

// The bus rate (busbw, bytes/s) at which the busiest link is full: what isn't reached is software's
// loss. `ranks_per_host` == `ranks`: all on one host. NaN where a rate or the algorithm isn't known,
// and for a tree between hosts, whose way inside them isn't.
double expected_bus_rate(std::string_view collective, std::string_view algorithm,
                         std::int64_t ranks, std::int64_t ranks_per_host, const LinkRates& links);

// NVLink's rate one way, by link, for a compute capability such as "9.0": 25e9 with 7.0 to 9.0
// (NVLink 2, 3 and 4), 50e9 with 10.x (NVLink 5). Source: NVIDIA's white papers (V100: 6 links, 300
// GB/s both ways; A100: 12, 600; H100: 18, 900; B200: 18, 1800). 0 for others.
double nvlink_rate(std::string_view compute_capability);

}  // namespace trainmeter
