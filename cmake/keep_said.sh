# SPDX-FileCopyrightText: 2026 the trainmeter authors
# SPDX-License-Identifier: Apache-2.0
# Compiles and keeps what the compiler said:  keep_said.sh OBJECT COMMAND...     into OBJECT.said
said=$1.said
shift
"$@" >"$said" 2>&1 && exit
code=$?
cat "$said" >&2
exit "$code"
