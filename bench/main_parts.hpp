// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// What the drivers of all programs share.
#pragma once

#include "bench/options.hpp"
#include "bench/target.hpp"
#include "bench/timer.hpp"
#include "kernels/collective.hpp"

#include <exception>
#include <memory>
#include <string>

namespace trainmeter {

std::unique_ptr<Timer> timer_for(const Target& target, World* world);

// Unavailable where --exclusive asks for a GPU of one's own and another process is on it.
void require_alone(const Options& options, const Target& target);

// Of ranks: leaving in order would wait for ranks that wait for this one.
[[noreturn]] void leave_at_once(Program program, World* world, const std::exception& error);

// BadInput with a mistake of this process's environment, if there is one: it's as wrong on every
// machine.
void refuse(const std::string& mistake);

}  // namespace trainmeter
