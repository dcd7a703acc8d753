# SPDX-FileCopyrightText: 2026 the trainmeter authors
# SPDX-License-Identifier: Apache-2.0
"""What the GEMMs for Hopper became: in each kernel, the machine instructions are as many as the algorithm has.
hopper_sass.py OBJECT;OBJECT [FOLDER_OF_CUOBJDUMP...]"""
import collections
import math
import re
import sys

sys.dont_write_bytecode = True
from cuobjdump import Cuobjdump  # noqa: E402

NN, NT, TN = 0, 1, 2
A, TILE = 0, 2  # what a cluster's blocks share, beside B


BF16, FP32, ADDED = 0, 1, 2  # what becomes of sums


def of_output(rows, columns, output):
    """Instructions that bring rows x columns of a consumer to memory, a slab of 128 bytes of each row at a time; the last one
    begins in the one before where no slab ends with the tile."""
    wide = 64 if output == BF16 else 32
    slabs = rows // 64 * math.ceil(columns / wide)
    return {
        "TMA store": 0 if output == ADDED else slabs,
        "TMA add": slabs if output == ADDED else 0,
        "stmatrix": slabs * wide // 16 if output == BF16 else 0,  # two chunks of 8 columns each
        "pack to bf16": rows // 64 * columns // 4 if output == BF16 else 0,  # a thread has a value of two columns
    }


def boxes(rows, sharers):
    """Of an operand whose m or n is contiguous: slabs of 64, or all of them in part where blocks can't share them evenly."""
    slabs = math.ceil(rows / 64)
    return slabs // sharers if slabs % sharers == 0 else slabs


def bf16(rows, columns, blocks, layout, output, shares_a, mma_tiles):
    """Of one tile, written once each: loops over tiles and stages stay loops."""
    boxes_a = boxes(rows, blocks if shares_a else 1) if layout == TN else 1
    boxes_b = 1 if layout == NT else boxes(columns, 1 if shares_a else blocks)
    shared = 0 if blocks == 1 else boxes_a if shares_a else boxes_b
    return {
        "wgmma": mma_tiles * 64 // 16,  # k of a stage, of an instruction
        "TMA load": boxes_a + boxes_b - shared,
        "TMA multicast": shared,
        "fp32 multiply-add": 0,  # all products are the tensor cores'
        "choice": 0,
        **of_output(64 * mma_tiles, columns, output),
    }


def shared_k(columns):
    """What blocks add that have a part of k each: a thread's sums of 64 rows, four at a time."""
    return {"remote store": columns // 2 // 4}


def fp8(rows, columns, blocks, adds, partials):
    """Three places issue a step where two partial sums take turns, else one for each 64 rows."""
    mma_tiles = 2 if rows == 256 else 1
    promotions = 4 if partials == 2 else mma_tiles  # written out: of either partial sum, in the loop and at the end
    meet = math.gcd(columns, 128)  # blocks of B meet at some multiple of it: behind the first, before the 128th column
    return {
        "wgmma": 128 // 32 * (3 if partials == 2 else mma_tiles),
        "TMA load": 2 + adds + (1 if blocks == 1 else 0),  # A, scales of A and of columns, B
        "TMA multicast": 1 if blocks > 1 else 0,
        "fp32 multiply-add": promotions * columns // 2,  # one a sum
        "choice": 0 if adds else promotions * 2 * (min(columns, 128) // meet - 1),  # of a block's scale, in each of two rows
        **of_output(64 * mma_tiles, columns, ADDED if adds else BF16),
    }


NAMES = {"HGMMA": "wgmma", "QGMMA": "wgmma", "UTMASTG": "TMA store", "UTMAREDG": "TMA add", "STSM": "stmatrix",
         "F2FP": "pack to bf16", "USETMAXREG": "setmaxnreg", "LDL": "local memory", "STL": "local memory",
         "FFMA": "fp32 multiply-add", "FSEL": "choice", "STAS": "remote store"}
# A TileShape in a kernel's name; the last fields may be left out where they are 0.
SHAPE = r"IXtl\w*?9TileShapeELi(\d+)ELi(\d+)ELi(\d+)ELi\d+E(?:L\w*?6SharedE(\d)E)?(?:Lb(\d)E)?EE"
# A fence of the whole GPU waits for all of a thread's memory accesses: a release at the scope of the cluster in the loop
# over k cost 1,300 cycles a step. What is left are those of the two barriers of the cluster, at the beginning and the end.
FENCES = 2


def tensor_maps(name, scales):
    """Of a list of tasks, maps lie in global memory: its threads that use them acquire each, in one place. A product's are
    parameters, which only needs them fetched ahead."""
    grouped = "TaskList" in name
    return {"map acquired": 3 + scales if grouped else 0, "map fetched": 0 if grouped else 3}


def moves_to_uniform(kernel):
    """In the loop over k, the shortest with a wgmma: from a thread's registers to the warp's, of which wgmma takes descriptors."""
    code = [(int(at, 16), base, int(to or "0", 16)) for at, base, to in
            re.findall(r"/\*([0-9a-f]{4,})\*/\s+(?:@!?\w+ )?([A-Z]\w*)\S*(?: (?:\w+, )?0x([0-9a-f]+))?", kernel)]
    loops = [[base for at, base, _ in code if start <= at <= end] for end, jump, start in code if jump == "BRA" and start < end]
    return min((loop for loop in loops if {"HGMMA", "QGMMA"} & set(loop)), key=len).count("R2UR")


def check_registers(name, kernel, rows):
    """What the producer's warpgroup gives up is what the consumers get, of what the launch gave (hopper_ptxas.py)."""
    of = {way: [int(n, 16) for n in re.findall(rf"USETMAXREG\.{way}\S* .*?(0x[0-9a-f]+)", kernel)] for way in ("DEALLOC", "TRY_ALLOC")}
    consumers, pool = (3, 4 * 128) if rows == 192 else (2, 3 * 168)
    assert len(of["DEALLOC"]) == len(of["TRY_ALLOC"]) == 1, f"{name}: {of}"
    assert of["DEALLOC"][0] + consumers * of["TRY_ALLOC"][0] <= pool, f"{name}: {of}, {pool} for {1 + consumers} warpgroups"


def check(kernel):
    name = kernel.split("\n", 1)[0]
    counts = collections.Counter()
    wgmma = ""
    for opcode in re.findall(r"/\*[0-9a-f]{4,}\*/\s+(?:@!?\w+ )?([A-Z][\w.]*)", kernel):
        base = opcode.split(".")[0]
        if re.match(r"MEMBAR\.\w+\.(GPU|SYS)", opcode):
            counts["fence of the GPU"] += 1
        elif base == "UTMALDG":
            counts["TMA multicast" if "MULTICAST" in opcode else "TMA load"] += 1
        elif base == "UTMACCTL":
            counts["map fetched" if opcode.endswith(".PF") else "map acquired"] += 1
        elif base in NAMES:
            counts[NAMES[base]] += 1
        if base in ("HGMMA", "QGMMA"):
            wgmma = opcode
    if match := re.search(rf"GemmConfig{SHAPE}L\w*?10GemmLayoutE(\d)EL\w*?6OutputE(\d)", name):
        rows, columns, blocks, shared, alternates, layout, output = (int(n or 0) for n in match.groups())
        want = bf16(rows, columns, 1 if shared == TILE else blocks, layout, output, shared == A, mma_tiles=2 if alternates else 1)
        shape = f"HGMMA.64x{columns}x16.F32.BF16"
        stages, scales = 0, 0
    else:
        found = re.search(rf"Fp8Config{SHAPE}Lb(\d)", name)
        rows, columns, blocks, shared, _, adds = (int(n or 0) for n in found.groups())
        partials = 1 if 128 * 128 < rows * columns else 2
        stages = 3 if partials == 2 else 0  # each step's, since the loop has two exits; a turn's first, too
        scales = 1 + adds
        want = fp8(rows, columns, 1 if shared == TILE else blocks, adds, partials)
        shape = f"QGMMA.64x{columns}x32.F32.E4M3.E4M3"
    want |= {"fence of the GPU": FENCES, "setmaxnreg": 2 if rows > 64 else 0, "local memory": 0, "remote store": 0}  # a lone consumer needs none
    want |= shared_k(columns) if shared == TILE else {}
    want |= tensor_maps(name, scales)
    if rows > 64:
        check_registers(name, kernel, rows)
    assert wgmma.startswith(shape), f"{name}: {wgmma}"
    assert moves_to_uniform(kernel) <= stages, f"{name}: {moves_to_uniform(kernel)} moves to uniform registers in the loop over k"
    found = {what: counts[what] for what in want}
    assert found == want, f"{name}:\nexpected {want}\nfound    {found}"


tool = Cuobjdump(sys.argv[2:])
kernels = [function for made in sys.argv[1].split(";") for function in tool.functions("-sass", made)]
assert len(kernels) == 71, f"expected 49 of bf16, 15 of fp8 and 7 grouped, found {len(kernels)}"
for one in kernels:
    check(one)
print(f"{len(kernels)} kernels hold as many instructions as the algorithm has")
