//go:build !purego

#include "textflag.h"

// What lanes_amd64.go describes, eight words at a time. All take masks whose rows are
// multiples of eight words, and at as find512 sets it. Registers of all kernels:
//
//	SI      masks, from the words at hand on
//	R8, R9  where the rows of masks start, in words; how many there are
//	BX      the leaves of the trees at hand
//	Z31     hash32 or hash64 of table.go, in each lane

#define HASH32 \
	MOVL         $0x077cb531, AX \
	VPBROADCASTD AX, Z31

#define HASH64 \
	MOVQ         $0x03f79d71b4ca8b09, AX \
	VPBROADCASTQ AX, Z31

// FOLD1 sets Z0 to the AND of eight words of each row of masks.
#define FOLD1(next, test) \
	MOVQ      (R8), R11           \
	VMOVDQU64 (SI)(R11*8), Z0     \
	MOVQ      $1, CX              \
	JMP       test                \
next: \
	MOVQ      (R8)(CX*8), R11     \
	VPANDQ    (SI)(R11*8), Z0, Z0 \
	INCQ      CX                  \
test: \
	CMPQ      CX, R9              \
	JLT       next

// FOLD4 is FOLD1 for 32 words, in Z0 to Z3.
#define FOLD4(next, test) \
	MOVQ      (R8), R11           \
	LEAQ      (SI)(R11*8), R11    \
	VMOVDQU64 (R11), Z0           \
	VMOVDQU64 64(R11), Z1         \
	VMOVDQU64 128(R11), Z2        \
	VMOVDQU64 192(R11), Z3        \
	MOVQ      $1, CX              \
	JMP       test                \
next: \
	MOVQ      (R8)(CX*8), R11     \
	LEAQ      (SI)(R11*8), R11    \
	VPANDQ    (R11), Z0, Z0       \
	VPANDQ    64(R11), Z1, Z1     \
	VPANDQ    128(R11), Z2, Z2    \
	VPANDQ    192(R11), Z3, Z3    \
	INCQ      CX                  \
test: \
	CMPQ      CX, R9              \
	JLT       next

// NARROW turns the masks of Z into the numbers of their leaves, in as many bytes of
// X: 16 of 32 bits, WIDE 8 of 64 bits.
#define NARROW(Z, X) \
	VPMULLD Z31, Z, Z \
	VPSRLD  $27, Z, Z \
	VPMOVDB Z, X

#define WIDE(Z, X) \
	VPMULLQ Z31, Z, Z \
	VPSRLQ  $58, Z, Z \
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

// func find512(at *int, axes *laneAxis, n int, row *float64, columns, rows, words int)
//
// The fields of a laneAxis: column 0, levels 8, cuts 16, base 24, keys 32 to 63.
TEXT ·find512(SB), NOSPLIT, $0-56
	MOVQ at+0(FP), DI
	MOVQ n+16(FP), R9
	MOVQ row+24(FP), SI
	MOVQ columns+32(FP), R12
	MOVQ rows+40(FP), DX
	MOVQ words+48(FP), R13

row:
	MOVQ axes+8(FP), R8
	MOVQ R9, R10

axis:
	MOVQ         (R8), AX
	VBROADCASTSD (SI)(AX*8), Z0
	MOVQ         8(R8), CX
	LEAQ         32(R8), BX
	XORL         AX, AX

level: // AX is the number of a run of 16 keys; then it is that of a key
	MOVQ     (BX), R11
	SHLQ     $7, AX
	VCMPPD   $0x1e, (R11)(AX*1), Z0, K1   // bits of keys below the value
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
	CMOVQPS  16(R8), AX // NaN is beyond all cuts
	IMULQ    R13, AX
	ADDQ     24(R8), AX
	MOVQ     AX, (DI)
	ADDQ     $8, DI
	ADDQ     $64, R8
	DECQ     R10
	JNZ      axis

	LEAQ (SI)(R12*8), SI
	DECQ DX
	JNZ  row
	VZEROUPPER
	RET

// ADD64 adds leaf number i of X0 of the i-th tree at BX to the sum X15; ADD32 in
// float32. The numbers go by way of memory.
#define ADD64(i, bytes) \
	MOVBLZX numbers-16+i(SP), AX        \
	VADDSD  i*bytes(BX)(AX*8), X15, X15

#define ADD32(i, bytes) \
	MOVBLZX numbers-16+i(SP), AX        \
	VADDSS  i*bytes(BX)(AX*4), X15, X15

#define EIGHT(ADD, bytes) \
	ADD(0, bytes)         \
	ADD(1, bytes)         \
	ADD(2, bytes)         \
	ADD(3, bytes)         \
	ADD(4, bytes)         \
	ADD(5, bytes)         \
	ADD(6, bytes)         \
	ADD(7, bytes)

#define SIXTEEN(ADD, bytes) \
	EIGHT(ADD, bytes)       \
	ADD(8, bytes)           \
	ADD(9, bytes)           \
	ADD(10, bytes)          \
	ADD(11, bytes)          \
	ADD(12, bytes)          \
	ADD(13, bytes)          \
	ADD(14, bytes)          \
	ADD(15, bytes)

// ONE is a kernel for one row, with per trees in eight words and so many bytes of
// leaves a tree.
#define ONE(HASH, NUMBERS, STORE, ADD, EIGHTS, scale, per, bytes) \
	HASH                                                               \
more:                                                                  \
	FOLD1(next, test)                                                  \
	NUMBERS(Z0, X0)                                                    \
	STORE X0, numbers-16(SP)                                           \
	CMPQ R10, $per                                                     \
	JLT  few                                                           \
	EIGHTS                                                             \
	ADDQ $64, SI                                                       \
	ADDQ $per*bytes, BX                                                \
	SUBQ $per, R10                                                     \
	JNZ  more                                                          \
	JMP  done                                                          \
few:                                                                   \
	LEAQ numbers-16(SP), R12                                           \
tree:                                                                  \
	MOVBLZX (R12), AX                                                  \
	ADD     (BX)(AX*scale), X15, X15                                   \
	INCQ    R12                                                        \
	ADDQ    $bytes, BX                                                 \
	DECQ    R10                                                        \
	JNZ     tree                                                       \
done:

// func narrowOne64(s float64, leaves *[64]float64, masks *uint64, at *int, reads, trees int) float64
TEXT ·narrowOne64(SB), NOSPLIT, $16-56
	MOVQ   leaves+8(FP), BX
	MOVQ   masks+16(FP), SI
	MOVQ   at+24(FP), R8
	MOVQ   reads+32(FP), R9
	MOVQ   trees+40(FP), R10
	VMOVSD s+0(FP), X15
	ONE(HASH32, NARROW, VMOVDQU, VADDSD, SIXTEEN(ADD64, 256), 8, 16, 256)
	VMOVSD X15, ret+48(FP)
	VZEROUPPER
	RET

// func narrowOne32(s float32, leaves *[64]float32, masks *uint64, at *int, reads, trees int) float32
TEXT ·narrowOne32(SB), NOSPLIT, $16-52
	MOVQ   leaves+8(FP), BX
	MOVQ   masks+16(FP), SI
	MOVQ   at+24(FP), R8
	MOVQ   reads+32(FP), R9
	MOVQ   trees+40(FP), R10
	VMOVSS s+0(FP), X15
	ONE(HASH32, NARROW, VMOVDQU, VADDSS, SIXTEEN(ADD32, 128), 4, 16, 128)
	VMOVSS X15, ret+48(FP)
	VZEROUPPER
	RET

// func wideOne64(s float64, leaves *[64]float64, masks *uint64, at *int, reads, trees int) float64
TEXT ·wideOne64(SB), NOSPLIT, $16-56
	MOVQ   leaves+8(FP), BX
	MOVQ   masks+16(FP), SI
	MOVQ   at+24(FP), R8
	MOVQ   reads+32(FP), R9
	MOVQ   trees+40(FP), R10
	VMOVSD s+0(FP), X15
	ONE(HASH64, WIDE, VMOVQ, VADDSD, EIGHT(ADD64, 512), 8, 8, 512)
	VMOVSD X15, ret+48(FP)
	VZEROUPPER
	RET

// func wideOne32(s float32, leaves *[64]float32, masks *uint64, at *int, reads, trees int) float32
TEXT ·wideOne32(SB), NOSPLIT, $16-52
	MOVQ   leaves+8(FP), BX
	MOVQ   masks+16(FP), SI
	MOVQ   at+24(FP), R8
	MOVQ   reads+32(FP), R9
	MOVQ   trees+40(FP), R10
	VMOVSS s+0(FP), X15
	ONE(HASH64, WIDE, VMOVQ, VADDSS, EIGHT(ADD32, 256), 4, 8, 256)
	VMOVSS X15, ret+48(FP)
	VZEROUPPER
	RET

// Sixteen rows: the numbers of 32 words, or of eight, for row after row, are put
// into numbers, in units of eight bytes (four for float32) of consecutive trees,
// the units of all rows side by side; then a register holds as many numbers of a
// tree as it holds sums, and the tree's leaves are looked up in registers.

// UNITS8 puts the numbers in X into units of eight bytes at to, UNITS4 of four.
#define UNITS8(X, to) \
	VMOVQ   X, to(R13)     \
	VMOVHPD X, to+128(R13)

#define UNITS4(X, to) \
	VMOVD   X, to(R13)         \
	VPEXTRD $1, X, to+64(R13)  \
	VPEXTRD $2, X, to+128(R13) \
	VPEXTRD $3, X, to+192(R13)

// The same for the eight numbers of a WIDE.
#define WIDEUNITS8(X, to) \
	VMOVQ X, to(R13)

#define WIDEUNITS4(X, to) \
	VMOVD   X, to(R13)        \
	VPEXTRD $1, X, to+64(R13)

// NARROW64 adds the leaves of the i-th tree at BX to the sums Z28 and Z29 of
// sixteen rows, whose numbers are the bytes i of the lanes of Z26 and Z27. Lookups
// take the low four bits of a lane; Z30 has the next one.
#define NARROW64(i) \
	VMOVUPD   i*256(BX), Z0     \
	VMOVUPD   i*256+64(BX), Z1  \
	VMOVUPD   i*256+128(BX), Z2 \
	VMOVUPD   i*256+192(BX), Z3 \
	VPSRLQ    $8*i, Z26, Z8     \
	VPSRLQ    $8*i, Z26, Z9     \
	VPSRLQ    $8*i, Z27, Z10    \
	VPSRLQ    $8*i, Z27, Z11    \
	VPTESTMQ  Z30, Z8, K1       \
	VPTESTMQ  Z30, Z10, K2      \
	VPERMI2PD Z1, Z0, Z8        \
	VPERMI2PD Z3, Z2, Z9        \
	VPERMI2PD Z1, Z0, Z10       \
	VPERMI2PD Z3, Z2, Z11       \
	VMOVAPD   Z9, K1, Z8        \
	VMOVAPD   Z11, K2, Z10      \
	VADDPD    Z8, Z28, Z28      \
	VADDPD    Z10, Z29, Z29

// WIDE64 is NARROW64 for masks of 64 bits; Z25 has the sixth bit.
#define WIDE64(i) \
	VMOVUPD   i*512(BX), Z0     \
	VMOVUPD   i*512+64(BX), Z1  \
	VMOVUPD   i*512+128(BX), Z2 \
	VMOVUPD   i*512+192(BX), Z3 \
	VMOVUPD   i*512+256(BX), Z4 \
	VMOVUPD   i*512+320(BX), Z5 \
	VMOVUPD   i*512+384(BX), Z6 \
	VMOVUPD   i*512+448(BX), Z7 \
	WIDE64LOOKUP(i, Z26, Z28)   \
	WIDE64LOOKUP(i, Z27, Z29)

#define WIDE64LOOKUP(i, NUMBERS, SUMS) \
	VPSRLQ    $8*i, NUMBERS, Z8  \
	VPSRLQ    $8*i, NUMBERS, Z9  \
	VPSRLQ    $8*i, NUMBERS, Z10 \
	VPSRLQ    $8*i, NUMBERS, Z11 \
	VPTESTMQ  Z30, Z8, K1        \
	VPTESTMQ  Z25, Z8, K2        \
	VPERMI2PD Z1, Z0, Z8         \
	VPERMI2PD Z3, Z2, Z9         \
	VPERMI2PD Z5, Z4, Z10        \
	VPERMI2PD Z7, Z6, Z11        \
	VMOVAPD   Z9, K1, Z8         \
	VMOVAPD   Z11, K1, Z10       \
	VMOVAPD   Z10, K2, Z8        \
	VADDPD    Z8, SUMS, SUMS

// NARROW32 is NARROW64 in float32: one register has all sums, Z28, and numbers,
// Z26, and a lookup takes five bits.
#define NARROW32(i) \
	VMOVUPS   i*128(BX), Z0        \
	VPSRLD    $8*i, Z26, Z8        \
	VPERMI2PS i*128+64(BX), Z0, Z8 \
	VADDPS    Z8, Z28, Z28

// WIDE32 is NARROW32 for masks of 64 bits.
#define WIDE32(i) \
	VMOVUPS   i*256(BX), Z0         \
	VMOVUPS   i*256+128(BX), Z2     \
	VPSRLD    $8*i, Z26, Z8         \
	VPSRLD    $8*i, Z26, Z9         \
	VPTESTMD  Z25, Z8, K1           \
	VPERMI2PS i*256+64(BX), Z0, Z8  \
	VPERMI2PS i*256+192(BX), Z2, Z9 \
	VMOVAPS   Z9, K1, Z8            \
	VADDPS    Z8, Z28, Z28

// MANY is the heart of a kernel for sixteen rows, with so many trees in a unit, per
// trees in eight words, and so many bytes of leaves a tree.
#define MANY(HASH, NUMBERS, UNITS, LOAD, TREES, trees, per, leaves) \
	HASH                                                            \
words:                                                              \
	MOVQ R14, R8                                                    \
	MOVQ R15, R13                                                   \
	MOVQ $16, DX                                                    \
	CMPQ R10, $32                                                   \
	JLT  row                                                        \
rowOf32:                                                            \
	FOLD4(next4, test4)                                             \
	NUMBERS(Z0, X0)                                                 \
	NUMBERS(Z1, X1)                                                 \
	NUMBERS(Z2, X2)                                                 \
	NUMBERS(Z3, X3)                                                 \
	UNITS(X0, 0)                                                    \
	UNITS(X1, 16*per)                                               \
	UNITS(X2, 32*per)                                               \
	UNITS(X3, 48*per)                                               \
	ADDQ $trees, R13                                                \
	LEAQ (R8)(R9*8), R8                                             \
	DECQ DX                                                         \
	JNZ  rowOf32                                                    \
	ADDQ $256, SI                                                   \
	SUBQ $32, R10                                                   \
	MOVQ $4*per/trees, DX                                           \
	JMP  add                                                        \
row:                                                                \
	FOLD1(next1, test1)                                             \
	NUMBERS(Z0, X0)                                                 \
	UNITS(X0, 0)                                                    \
	ADDQ $trees, R13                                                \
	LEAQ (R8)(R9*8), R8                                             \
	DECQ DX                                                         \
	JNZ  row                                                        \
	ADDQ $64, SI                                                    \
	SUBQ $8, R10                                                    \
	MOVQ $per/trees, DX                                             \
add:                                                                \
	MOVQ R15, R13                                                   \
unit:                                                               \
	LOAD                                                            \
	TREES                                                           \
	ADDQ $trees*leaves, BX                                          \
	ADDQ $16*trees, R13                                             \
	DECQ DX                                                         \
	JNZ  unit                                                       \
	TESTQ R10, R10                                                  \
	JNZ  words

#define LOAD64           \
	VMOVDQU64 (R13), Z26   \
	VMOVDQU64 64(R13), Z27

#define LOAD32         \
	VMOVDQU64 (R13), Z26

#define FOURTREES(TREE) \
	TREE(0)             \
	TREE(1)             \
	TREE(2)             \
	TREE(3)

#define EIGHTTREES(TREE) \
	FOURTREES(TREE)      \
	TREE(4)              \
	TREE(5)              \
	TREE(6)              \
	TREE(7)

// func narrowMany64(sums *float64, leaves *[64]float64, masks *uint64, at *int, reads, words int, numbers *uint8)
TEXT ·narrowMany64(SB), NOSPLIT, $0-56
	MOVQ         sums+0(FP), DI
	MOVQ         leaves+8(FP), BX
	MOVQ         masks+16(FP), SI
	MOVQ         at+24(FP), R14
	MOVQ         reads+32(FP), R9
	MOVQ         words+40(FP), R10
	MOVQ         numbers+48(FP), R15
	MOVL         $16, AX
	VPBROADCASTQ AX, Z30
	VMOVUPD      (DI), Z28
	VMOVUPD      64(DI), Z29
	MANY(HASH32, NARROW, UNITS8, LOAD64, EIGHTTREES(NARROW64), 8, 16, 256)
	VMOVUPD Z28, (DI)
	VMOVUPD Z29, 64(DI)
	VZEROUPPER
	RET

// func narrowMany32(sums *float32, leaves *[64]float32, masks *uint64, at *int, reads, words int, numbers *uint8)
TEXT ·narrowMany32(SB), NOSPLIT, $0-56
	MOVQ         sums+0(FP), DI
	MOVQ         leaves+8(FP), BX
	MOVQ         masks+16(FP), SI
	MOVQ         at+24(FP), R14
	MOVQ         reads+32(FP), R9
	MOVQ         words+40(FP), R10
	MOVQ         numbers+48(FP), R15
	VMOVUPS      (DI), Z28
	MANY(HASH32, NARROW, UNITS4, LOAD32, FOURTREES(NARROW32), 4, 16, 128)
	VMOVUPS Z28, (DI)
	VZEROUPPER
	RET

// func wideMany64(sums *float64, leaves *[64]float64, masks *uint64, at *int, reads, words int, numbers *uint8)
TEXT ·wideMany64(SB), NOSPLIT, $0-56
	MOVQ         sums+0(FP), DI
	MOVQ         leaves+8(FP), BX
	MOVQ         masks+16(FP), SI
	MOVQ         at+24(FP), R14
	MOVQ         reads+32(FP), R9
	MOVQ         words+40(FP), R10
	MOVQ         numbers+48(FP), R15
	MOVL         $16, AX
	VPBROADCASTQ AX, Z30
	MOVL         $32, AX
	VPBROADCASTQ AX, Z25
	VMOVUPD      (DI), Z28
	VMOVUPD      64(DI), Z29
	MANY(HASH64, WIDE, WIDEUNITS8, LOAD64, EIGHTTREES(WIDE64), 8, 8, 512)
	VMOVUPD Z28, (DI)
	VMOVUPD Z29, 64(DI)
	VZEROUPPER
	RET

// func wideMany32(sums *float32, leaves *[64]float32, masks *uint64, at *int, reads, words int, numbers *uint8)
TEXT ·wideMany32(SB), NOSPLIT, $0-56
	MOVQ         sums+0(FP), DI
	MOVQ         leaves+8(FP), BX
	MOVQ         masks+16(FP), SI
	MOVQ         at+24(FP), R14
	MOVQ         reads+32(FP), R9
	MOVQ         words+40(FP), R10
	MOVQ         numbers+48(FP), R15
	MOVL         $32, AX
	VPBROADCASTD AX, Z25
	VMOVUPS      (DI), Z28
	MANY(HASH64, WIDE, WIDEUNITS4, LOAD32, FOURTREES(WIDE32), 4, 8, 256)
	VMOVUPS Z28, (DI)
	VZEROUPPER
	RET

// func narrowNumbers512(numbers *uint8, masks *uint64, at *int, reads, words int)
TEXT ·narrowNumbers512(SB), NOSPLIT, $0-40
	MOVQ numbers+0(FP), DI
	MOVQ masks+8(FP), SI
	MOVQ at+16(FP), R8
	MOVQ reads+24(FP), R9
	MOVQ words+32(FP), R10
	HASH32
	MOVQ         $0x2000000000, AX // the second tree of a word has the leaves from 32 on
	VPBROADCASTQ AX, Z30

more:
	FOLD1(next, test)
	VPMULLD Z31, Z0, Z0
	VPSRLD  $27, Z0, Z0
	VPORQ   Z30, Z0, Z0
	VPMOVDB Z0, (DI)
	ADDQ    $16, DI
	ADDQ    $64, SI
	SUBQ    $8, R10
	JNZ     more
	VZEROUPPER
	RET

// func wideNumbers512(numbers *uint8, masks *uint64, at *int, reads, words int)
TEXT ·wideNumbers512(SB), NOSPLIT, $0-40
	MOVQ numbers+0(FP), DI
	MOVQ masks+8(FP), SI
	MOVQ at+16(FP), R8
	MOVQ reads+24(FP), R9
	MOVQ words+32(FP), R10
	HASH64

more:
	FOLD1(next, test)
	WIDE(Z0, X0)
	VMOVQ X0, (DI)
	ADDQ  $8, DI
	ADDQ  $64, SI
	SUBQ  $8, R10
	JNZ   more
	VZEROUPPER
	RET
