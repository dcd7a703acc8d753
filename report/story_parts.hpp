// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Parts of a story's document that are words and tables: the answer, what differs between records,
// environment and method.
#pragma once

#include "report/document.hpp"
#include "report/story.hpp"

namespace trainmeter {

Lead answer(const Story& story);  // three sentences
// Cases of several records, the largest difference first.
Document side_by_side(const Story& story);
Document method(const Story& story);

}  // namespace trainmeter
