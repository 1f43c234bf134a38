//go:build !purego

#include "go_asm.h"
#include "textflag.h"

// The loops of quickscorer_amd64.go. A register of 64 bytes has vectorWords words of
// bitvectors, and table rows are multiples of that. All kernels use these registers:
//
//	SI      table, from the current words on
//	R8, R9  offsets of the table rows, in words; their number
//	BX      values of the current trees
//	Z31     hash32 or hash64 in each lane

#define HASH32 \
	MOVL         $const_hash32, AX \
	VPBROADCASTD AX, Z31

#define HASH64 \
	MOVQ         $const_hash64, AX \
	VPBROADCASTQ AX, Z31

// AND1 sets Z0 to the AND of eight words of each table row.
#define AND1(next, test) \
	MOVQ      (R8), R11           \
	VMOVDQU64 (SI)(R11*8), Z0     \
	MOVQ      $1, CX              \
	JMP       test                \
next:                             \
	MOVQ      (R8)(CX*8), R11     \
	VPANDQ    (SI)(R11*8), Z0, Z0 \
	INCQ      CX                  \
test:                             \
	CMPQ      CX, R9              \
	JLT       next

// AND4 is AND1 for 32 words, in Z0 to Z3.
#define AND4(next, test) \
	MOVQ      (R8), R11        \
	LEAQ      (SI)(R11*8), R11 \
	VMOVDQU64 (R11), Z0        \
	VMOVDQU64 64(R11), Z1      \
	VMOVDQU64 128(R11), Z2     \
	VMOVDQU64 192(R11), Z3     \
	MOVQ      $1, CX           \
	JMP       test             \
next:                          \
	MOVQ      (R8)(CX*8), R11  \
	LEAQ      (SI)(R11*8), R11 \
	VPANDQ    (R11), Z0, Z0    \
	VPANDQ    64(R11), Z1, Z1  \
	VPANDQ    128(R11), Z2, Z2 \
	VPANDQ    192(R11), Z3, Z3 \
	INCQ      CX               \
test:                          \
	CMPQ      CX, R9           \
	JLT       next

// NARROW replaces the 16 bits in Z, one per tree, by their indices in the bytes of X.
// WIDE does so for 8 wide bitvectors.
#define NARROW(Z, X) \
	VPMULLD Z31, Z, Z            \
	VPSRLD  $const_shift32, Z, Z \
	VPMOVDB Z, X

#define WIDE(Z, X) \
	VPMULLQ Z31, Z, Z            \
	VPSRLQ  $const_shift64, Z, Z \
	VPMOVQB Z, X

// func cpuid(leaf, sub uint32) (ax, bx, cx, dx uint32)
TEXT ·cpuid(SB), NOSPLIT, $0-24
	MOVL leaf+0(FP), AX
	MOVL sub+4(FP), CX
	CPUID
	MOVL AX, ax+8(FP)
	MOVL BX, bx+12(FP)
	MOVL CX, cx+16(FP)
	MOVL DX, dx+20(FP)
	RET

// func xgetbv() (ax uint32)
TEXT ·xgetbv(SB), NOSPLIT, $0-4
	XORL CX, CX
	XGETBV
	MOVL AX, ax+0(FP)
	RET

// func findIntervals(offsets *int, all *intervals512, n int, row *float64, features, rows, words int)
TEXT ·findIntervals(SB), NOSPLIT, $0-56
	MOVQ offsets+0(FP), DI
	MOVQ n+16(FP), R9
	MOVQ row+24(FP), SI
	MOVQ features+32(FP), R12
	MOVQ rows+40(FP), DX
	MOVQ words+48(FP), R13

row:
	MOVQ all+8(FP), R8
	MOVQ R9, R10

feature:
	MOVQ         intervals512_feature(R8), AX
	VBROADCASTSD (SI)(AX*8), Z0
	MOVQ         intervals512_levels(R8), CX
	LEAQ         intervals512_keys(R8), BX
	XORL         AX, AX

level: // AX is the number of a node, then that of a key
	MOVQ     (BX), R11
	SHLQ     $(const_keyShift+3), AX
	VCMPPD   $0x1e, (R11)(AX*1), Z0, K1   // a bit for each key below the value
	VCMPPD   $0x1e, 64(R11)(AX*1), Z0, K2
	KUNPCKBW K1, K2, K1
	KMOVW    K1, R11
	POPCNTL  R11, R11
	SHRQ     $3, AX
	ADDQ     R11, AX
	ADDQ     $8, BX
	DECQ     CX
	JNZ      level

	VUCOMISD X0, X0
	CMOVQPS  intervals512_cuts(R8), AX // NaN is above all cut points
	IMULQ    R13, AX
	ADDQ     intervals512_offset(R8), AX
	MOVQ     AX, (DI)
	ADDQ     $8, DI
	ADDQ     $intervals512__size, R8
	DECQ     R10
	JNZ      feature

	LEAQ (SI)(R12*8), SI
	DECQ DX
	JNZ  row
	VZEROUPPER
	RET

// FOUR, EIGHT and SIXTEEN repeat a macro for trees from i on; bytes is the size of
// the values of a tree.
#define FOUR(M, i, bytes) \
	M(i, bytes)     \
	M((i+1), bytes) \
	M((i+2), bytes) \
	M((i+3), bytes)

#define EIGHT(M, i, bytes) \
	FOUR(M, i, bytes) \
	FOUR(M, (i+4), bytes)

#define SIXTEEN(M, i, bytes) \
	EIGHT(M, i, bytes) \
	EIGHT(M, (i+8), bytes)

// ADD64 adds the value of the i-th tree at BX to the sum X15. ADD32 adds in float32.
#define ADD64(i, bytes) \
	MOVBLZX exits-16+i(SP), AX \
	VADDSD  bytes*i(BX)(AX*8), X15, X15

#define ADD32(i, bytes) \
	MOVBLZX exits-16+i(SP), AX \
	VADDSS  bytes*i(BX)(AX*4), X15, X15

// ROW is the kernel for one row. A register has bitvectors of per trees; R10 is the
// number of trees.
#define ROW(HASH, INDEX, STORE, ADD, ADDALL, scale, per, bytes) \
	HASH                             \
more:                                \
	AND1(next, test)                 \
	INDEX(Z0, X0)                    \
	STORE   X0, exits-16(SP)         \
	CMPQ    R10, $per                \
	JLT     few                      \
	ADDALL                           \
	ADDQ    $64, SI                  \
	ADDQ    $per*bytes, BX           \
	SUBQ    $per, R10                \
	JNZ     more                     \
	JMP     done                     \
few:                                 \
	LEAQ    exits-16(SP), R12        \
tree:                                \
	MOVBLZX (R12), AX                \
	ADD     (BX)(AX*scale), X15, X15 \
	INCQ    R12                      \
	ADDQ    $bytes, BX               \
	DECQ    R10                      \
	JNZ     tree                     \
done:

// func narrowRow64(s float64, values unsafe.Pointer, table *uint64, offsets *int, operands, trees int) float64
TEXT ·narrowRow64(SB), NOSPLIT, $16-56
	MOVQ   values+8(FP), BX
	MOVQ   table+16(FP), SI
	MOVQ   offsets+24(FP), R8
	MOVQ   operands+32(FP), R9
	MOVQ   trees+40(FP), R10
	VMOVSD s+0(FP), X15
	ROW(HASH32, NARROW, VMOVDQU, VADDSD, SIXTEEN(ADD64, 0, const_narrowBits*8), 8, 16, const_narrowBits*8)
	VMOVSD X15, ret+48(FP)
	VZEROUPPER
	RET

// func narrowRow32(s float32, values unsafe.Pointer, table *uint64, offsets *int, operands, trees int) float32
TEXT ·narrowRow32(SB), NOSPLIT, $16-52
	MOVQ   values+8(FP), BX
	MOVQ   table+16(FP), SI
	MOVQ   offsets+24(FP), R8
	MOVQ   operands+32(FP), R9
	MOVQ   trees+40(FP), R10
	VMOVSS s+0(FP), X15
	ROW(HASH32, NARROW, VMOVDQU, VADDSS, SIXTEEN(ADD32, 0, const_narrowBits*4), 4, 16, const_narrowBits*4)
	VMOVSS X15, ret+48(FP)
	VZEROUPPER
	RET

// func wideRow64(s float64, values unsafe.Pointer, table *uint64, offsets *int, operands, trees int) float64
TEXT ·wideRow64(SB), NOSPLIT, $16-56
	MOVQ   values+8(FP), BX
	MOVQ   table+16(FP), SI
	MOVQ   offsets+24(FP), R8
	MOVQ   operands+32(FP), R9
	MOVQ   trees+40(FP), R10
	VMOVSD s+0(FP), X15
	ROW(HASH64, WIDE, VMOVQ, VADDSD, EIGHT(ADD64, 0, const_wideBits*8), 8, 8, const_wideBits*8)
	VMOVSD X15, ret+48(FP)
	VZEROUPPER
	RET

// func wideRow32(s float32, values unsafe.Pointer, table *uint64, offsets *int, operands, trees int) float32
TEXT ·wideRow32(SB), NOSPLIT, $16-52
	MOVQ   values+8(FP), BX
	MOVQ   table+16(FP), SI
	MOVQ   offsets+24(FP), R8
	MOVQ   operands+32(FP), R9
	MOVQ   trees+40(FP), R10
	VMOVSS s+0(FP), X15
	ROW(HASH64, WIDE, VMOVQ, VADDSS, EIGHT(ADD32, 0, const_wideBits*4), 4, 8, const_wideBits*4)
	VMOVSS X15, ret+48(FP)
	VZEROUPPER
	RET

// In a block of sixteen rows, the indices of the exits in 32 words, or in eight, are
// computed row by row and stored in exits, transposed: as units of the bytes of eight
// consecutive trees (four for float32), with the units of all rows adjacent. A load
// from exits then fills the lanes of a register with the indices of different rows,
// by which the values of one tree are looked up in registers.

// UNITS8 stores the 16 bytes of X as units of eight bytes, UNITS4 of four.
#define UNITS8(X, to) \
	VMOVQ   X, to(R13) \
	VMOVHPD X, to+128(R13)

#define UNITS4(X, to) \
	VMOVD   X, to(R13)         \
	VPEXTRD $1, X, to+64(R13)  \
	VPEXTRD $2, X, to+128(R13) \
	VPEXTRD $3, X, to+192(R13)

// WIDEUNITS8 and WIDEUNITS4 store the 8 bytes of a WIDE.
#define WIDEUNITS8(X, to) \
	VMOVQ X, to(R13)

#define WIDEUNITS4(X, to) \
	VMOVD   X, to(R13) \
	VPEXTRD $1, X, to+64(R13)

// NARROW64 adds the values of the i-th tree at BX to the sums Z28 and Z29 of sixteen
// rows. Their indices are the bytes i of the lanes of Z26 and Z27. A lookup uses the
// low four bits of a lane; Z30 has the fifth bit.
#define NARROW64(i, bytes) \
	VMOVUPD   bytes*i(BX), Z0     \
	VMOVUPD   bytes*i+64(BX), Z1  \
	VMOVUPD   bytes*i+128(BX), Z2 \
	VMOVUPD   bytes*i+192(BX), Z3 \
	VPSRLQ    $8*i, Z26, Z8       \
	VPSRLQ    $8*i, Z26, Z9       \
	VPSRLQ    $8*i, Z27, Z10      \
	VPSRLQ    $8*i, Z27, Z11      \
	VPTESTMQ  Z30, Z8, K1         \
	VPTESTMQ  Z30, Z10, K2        \
	VPERMI2PD Z1, Z0, Z8          \
	VPERMI2PD Z3, Z2, Z9          \
	VPERMI2PD Z1, Z0, Z10         \
	VPERMI2PD Z3, Z2, Z11         \
	VMOVAPD   Z9, K1, Z8          \
	VMOVAPD   Z11, K2, Z10        \
	VADDPD    Z8, Z28, Z28        \
	VADDPD    Z10, Z29, Z29

// WIDE64 is NARROW64 for wide bitvectors; Z25 has the sixth bit.
#define WIDE64(i, bytes) \
	VMOVUPD bytes*i(BX), Z0     \
	VMOVUPD bytes*i+64(BX), Z1  \
	VMOVUPD bytes*i+128(BX), Z2 \
	VMOVUPD bytes*i+192(BX), Z3 \
	VMOVUPD bytes*i+256(BX), Z4 \
	VMOVUPD bytes*i+320(BX), Z5 \
	VMOVUPD bytes*i+384(BX), Z6 \
	VMOVUPD bytes*i+448(BX), Z7 \
	WIDE64HALF(i, Z26, Z28)     \
	WIDE64HALF(i, Z27, Z29)

// WIDE64HALF adds to eight of the sums.
#define WIDE64HALF(i, EXITS, SUMS) \
	VPSRLQ    $8*i, EXITS, Z8  \
	VPSRLQ    $8*i, EXITS, Z9  \
	VPSRLQ    $8*i, EXITS, Z10 \
	VPSRLQ    $8*i, EXITS, Z11 \
	VPTESTMQ  Z30, Z8, K1      \
	VPTESTMQ  Z25, Z8, K2      \
	VPERMI2PD Z1, Z0, Z8       \
	VPERMI2PD Z3, Z2, Z9       \
	VPERMI2PD Z5, Z4, Z10      \
	VPERMI2PD Z7, Z6, Z11      \
	VMOVAPD   Z9, K1, Z8       \
	VMOVAPD   Z11, K1, Z10     \
	VMOVAPD   Z10, K2, Z8      \
	VADDPD    Z8, SUMS, SUMS

// NARROW32 is NARROW64 in float32: all sums are in Z28 and all indices in Z26, and a
// lookup uses five bits.
#define NARROW32(i, bytes) \
	VMOVUPS   bytes*i(BX), Z0        \
	VPSRLD    $8*i, Z26, Z8          \
	VPERMI2PS bytes*i+64(BX), Z0, Z8 \
	VADDPS    Z8, Z28, Z28

// WIDE32 is NARROW32 for wide bitvectors.
#define WIDE32(i, bytes) \
	VMOVUPS   bytes*i(BX), Z0         \
	VMOVUPS   bytes*i+128(BX), Z2     \
	VPSRLD    $8*i, Z26, Z8           \
	VPSRLD    $8*i, Z26, Z9           \
	VPTESTMD  Z25, Z8, K1             \
	VPERMI2PS bytes*i+64(BX), Z0, Z8  \
	VPERMI2PS bytes*i+192(BX), Z2, Z9 \
	VMOVAPS   Z9, K1, Z8              \
	VADDPS    Z8, Z28, Z28

// BLOCK is the kernel for sixteen rows. A unit has the exits of a number of trees,
// and a register bitvectors of per trees; R10 is the number of words.
#define BLOCK(HASH, INDEX, UNITS, LOAD, ADDALL, trees, per, bytes) \
	HASH                                 \
words:                                   \
	MOVQ  R14, R8                        \
	MOVQ  R15, R13                       \
	MOVQ  $const_blockRows512, DX        \
	CMPQ  R10, $const_blockWords         \
	JLT   row                            \
row32:                                   \
	AND4(next4, test4)                   \
	INDEX(Z0, X0)                        \
	INDEX(Z1, X1)                        \
	INDEX(Z2, X2)                        \
	INDEX(Z3, X3)                        \
	UNITS(X0, 0)                         \
	UNITS(X1, const_blockRows512*per)    \
	UNITS(X2, const_blockRows512*per*2)  \
	UNITS(X3, const_blockRows512*per*3)  \
	ADDQ  $trees, R13                    \
	LEAQ  (R8)(R9*8), R8                 \
	DECQ  DX                             \
	JNZ   row32                          \
	ADDQ  $const_blockWords*8, SI        \
	SUBQ  $const_blockWords, R10         \
	MOVQ  $4*per/trees, DX               \
	JMP   add                            \
row:                                     \
	AND1(next1, test1)                   \
	INDEX(Z0, X0)                        \
	UNITS(X0, 0)                         \
	ADDQ  $trees, R13                    \
	LEAQ  (R8)(R9*8), R8                 \
	DECQ  DX                             \
	JNZ   row                            \
	ADDQ  $const_vectorWords*8, SI       \
	SUBQ  $const_vectorWords, R10        \
	MOVQ  $per/trees, DX                 \
add:                                     \
	MOVQ  R15, R13                       \
unit:                                    \
	LOAD                                 \
	ADDALL                               \
	ADDQ  $trees*bytes, BX               \
	ADDQ  $const_blockRows512*trees, R13 \
	DECQ  DX                             \
	JNZ   unit                           \
	TESTQ R10, R10                       \
	JNZ   words

#define LOAD64 \
	VMOVDQU64 (R13), Z26 \
	VMOVDQU64 64(R13), Z27

#define LOAD32 \
	VMOVDQU64 (R13), Z26

// func narrowBlock64(sums unsafe.Pointer, values unsafe.Pointer, table *uint64, offsets *int, operands, words int, exits *uint8)
TEXT ·narrowBlock64(SB), NOSPLIT, $0-56
	MOVQ         sums+0(FP), DI
	MOVQ         values+8(FP), BX
	MOVQ         table+16(FP), SI
	MOVQ         offsets+24(FP), R14
	MOVQ         operands+32(FP), R9
	MOVQ         words+40(FP), R10
	MOVQ         exits+48(FP), R15
	MOVL         $16, AX
	VPBROADCASTQ AX, Z30
	VMOVUPD      (DI), Z28
	VMOVUPD      64(DI), Z29
	BLOCK(HASH32, NARROW, UNITS8, LOAD64, EIGHT(NARROW64, 0, const_narrowBits*8), 8, 16, const_narrowBits*8)
	VMOVUPD Z28, (DI)
	VMOVUPD Z29, 64(DI)
	VZEROUPPER
	RET

// func narrowBlock32(sums unsafe.Pointer, values unsafe.Pointer, table *uint64, offsets *int, operands, words int, exits *uint8)
TEXT ·narrowBlock32(SB), NOSPLIT, $0-56
	MOVQ         sums+0(FP), DI
	MOVQ         values+8(FP), BX
	MOVQ         table+16(FP), SI
	MOVQ         offsets+24(FP), R14
	MOVQ         operands+32(FP), R9
	MOVQ         words+40(FP), R10
	MOVQ         exits+48(FP), R15
	VMOVUPS      (DI), Z28
	BLOCK(HASH32, NARROW, UNITS4, LOAD32, FOUR(NARROW32, 0, const_narrowBits*4), 4, 16, const_narrowBits*4)
	VMOVUPS Z28, (DI)
	VZEROUPPER
	RET

// func wideBlock64(sums unsafe.Pointer, values unsafe.Pointer, table *uint64, offsets *int, operands, words int, exits *uint8)
TEXT ·wideBlock64(SB), NOSPLIT, $0-56
	MOVQ         sums+0(FP), DI
	MOVQ         values+8(FP), BX
	MOVQ         table+16(FP), SI
	MOVQ         offsets+24(FP), R14
	MOVQ         operands+32(FP), R9
	MOVQ         words+40(FP), R10
	MOVQ         exits+48(FP), R15
	MOVL         $16, AX
	VPBROADCASTQ AX, Z30
	MOVL         $32, AX
	VPBROADCASTQ AX, Z25
	VMOVUPD      (DI), Z28
	VMOVUPD      64(DI), Z29
	BLOCK(HASH64, WIDE, WIDEUNITS8, LOAD64, EIGHT(WIDE64, 0, const_wideBits*8), 8, 8, const_wideBits*8)
	VMOVUPD Z28, (DI)
	VMOVUPD Z29, 64(DI)
	VZEROUPPER
	RET

// func wideBlock32(sums unsafe.Pointer, values unsafe.Pointer, table *uint64, offsets *int, operands, words int, exits *uint8)
TEXT ·wideBlock32(SB), NOSPLIT, $0-56
	MOVQ         sums+0(FP), DI
	MOVQ         values+8(FP), BX
	MOVQ         table+16(FP), SI
	MOVQ         offsets+24(FP), R14
	MOVQ         operands+32(FP), R9
	MOVQ         words+40(FP), R10
	MOVQ         exits+48(FP), R15
	MOVL         $32, AX
	VPBROADCASTD AX, Z25
	VMOVUPS      (DI), Z28
	BLOCK(HASH64, WIDE, WIDEUNITS4, LOAD32, FOUR(WIDE32, 0, const_wideBits*4), 4, 8, const_wideBits*4)
	VMOVUPS Z28, (DI)
	VZEROUPPER
	RET

// func narrowExits(exits *uint8, table *uint64, offsets *int, operands, words int)
TEXT ·narrowExits(SB), NOSPLIT, $0-40
	MOVQ exits+0(FP), DI
	MOVQ table+8(FP), SI
	MOVQ offsets+16(FP), R8
	MOVQ operands+24(FP), R9
	MOVQ words+32(FP), R10
	HASH32
	MOVQ         $(const_narrowBits<<32), AX // the second tree of a word has its values after those of the first
	VPBROADCASTQ AX, Z30

more:
	AND1(next, test)
	VPMULLD Z31, Z0, Z0
	VPSRLD  $const_shift32, Z0, Z0
	VPORQ   Z30, Z0, Z0
	VPMOVDB Z0, (DI)
	ADDQ    $16, DI
	ADDQ    $64, SI
	SUBQ    $const_vectorWords, R10
	JNZ     more
	VZEROUPPER
	RET

// func wideExits(exits *uint8, table *uint64, offsets *int, operands, words int)
TEXT ·wideExits(SB), NOSPLIT, $0-40
	MOVQ exits+0(FP), DI
	MOVQ table+8(FP), SI
	MOVQ offsets+16(FP), R8
	MOVQ operands+24(FP), R9
	MOVQ words+32(FP), R10
	HASH64

more:
	AND1(next, test)
	WIDE(Z0, X0)
	VMOVQ X0, (DI)
	ADDQ  $8, DI
	ADDQ  $64, SI
	SUBQ  $const_vectorWords, R10
	JNZ   more
	VZEROUPPER
	RET
