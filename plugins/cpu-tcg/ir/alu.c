/* SPDX-License-Identifier: MIT */
/* The meaning of the integer ops: one function, used by the interpreter and by constant folding. */


#include "ir/alu.h"
#include "ir/ir.h"

uint64_t alu_extend(uint64_t value, uint32_t mem)
{
	bool sign = mem & IRM_SIGN;
	switch (IRM_SIZE(mem)) {
	case IRM_8:  return sign ? (uint64_t)(int64_t)(int8_t)value : (uint8_t)value;
	case IRM_16: return sign ? (uint64_t)(int64_t)(int16_t)value : (uint16_t)value;
	case IRM_32: return sign ? (uint64_t)(int64_t)(int32_t)value : (uint32_t)value;
	default:     return value;
	}
}

bool alu_cond(uint32_t cond, uint64_t a, uint64_t b)
{
	switch (cond) {
	case IR_EQ:  return a == b;
	case IR_NE:  return a != b;
	case IR_LT:  return (int64_t)a < (int64_t)b;
	case IR_GE:  return (int64_t)a >= (int64_t)b;
	case IR_LE:  return (int64_t)a <= (int64_t)b;
	case IR_GT:  return (int64_t)a > (int64_t)b;
	case IR_LTU: return a < b;
	case IR_GEU: return a >= b;
	case IR_LEU: return a <= b;
	default:     return a > b;
	}
}

static uint64_t rotl64(uint64_t a, unsigned n)
{
	n &= 63;
	return n ? a << n | a >> (64 - n) : a;
}

static uint32_t rotl32(uint32_t a, unsigned n)
{
	n &= 31;
	return n ? a << n | a >> (32 - n) : a;
}

static int64_t divs(int64_t a, int64_t b, bool rest)
{
	if (b == 0)
		return rest ? a : -1;
	if (a == INT64_MIN && b == -1)
		return rest ? 0 : a;
	return rest ? a % b : a / b;
}

static int32_t divs32(int32_t a, int32_t b, bool rest)
{
	if (b == 0)
		return rest ? a : -1;
	if (a == INT32_MIN && b == -1)
		return rest ? 0 : a;
	return rest ? a % b : a / b;
}

static uint64_t orcb(uint64_t a)
{
	uint64_t r = 0;
	for (unsigned i = 0; i < 64; i += 8)
		if (a >> i & 0xff)
			r |= (uint64_t)0xff << i;
	return r;
}

static uint64_t op_bits(uint32_t opcode, uint64_t a)
{
	uint32_t w = (uint32_t)a;
	switch (opcode) {
	case IR_ext8s:    return (uint64_t)(int64_t)(int8_t)a;
	case IR_ext16s:   return (uint64_t)(int64_t)(int16_t)a;
	case IR_ext32s:   return (uint64_t)(int64_t)(int32_t)a;
	case IR_ext8u:    return (uint8_t)a;
	case IR_ext16u:   return (uint16_t)a;
	case IR_ext32u:   return w;
	case IR_clz:      return a ? (uint64_t)__builtin_clzll(a) : 64;
	case IR_ctz:      return a ? (uint64_t)__builtin_ctzll(a) : 64;
	case IR_popcnt:   return (uint64_t)__builtin_popcountll(a);
	case IR_clz32:    return w ? (uint64_t)__builtin_clz(w) : 32;
	case IR_ctz32:    return w ? (uint64_t)__builtin_ctz(w) : 32;
	case IR_popcnt32: return (uint64_t)__builtin_popcount(w);
	case IR_bswap:    return __builtin_bswap64(a);
	case IR_orcb:     return orcb(a);
	case IR_fbox:     return a | 0xffffffff00000000u;
	case IR_funbox:   return a >> 32 == 0xffffffffu ? w : 0x7fc00000u;
	default:          return a;     /* mov */
	}
}

static uint64_t op_32(uint32_t opcode, uint32_t a, uint32_t b)
{
	switch (opcode) {
	case IR_add32:  return a + b;
	case IR_sub32:  return a - b;
	case IR_shl32:  return a << (b & 31);
	case IR_shr32:  return a >> (b & 31);
	case IR_sar32:  return (uint32_t)((int32_t)a >> (b & 31));
	case IR_rotl32: return rotl32(a, b);
	case IR_rotr32: return rotl32(a, 32 - (b & 31));
	case IR_mul32:  return a * b;
	case IR_divs32: return (uint32_t)divs32((int32_t)a, (int32_t)b, false);
	case IR_rems32: return (uint32_t)divs32((int32_t)a, (int32_t)b, true);
	case IR_divu32: return b ? a / b : UINT32_MAX;
	default:        return b ? a % b : a;   /* remu32 */
	}
}

uint64_t alu_op(uint32_t opcode, uint64_t a, uint64_t b, uint64_t imm)
{
	switch (opcode) {
	case IR_add:    return a + b;
	case IR_sub:    return a - b;
	case IR_and:    return a & b;
	case IR_or:     return a | b;
	case IR_xor:    return a ^ b;
	case IR_andn:   return a & ~b;
	case IR_orn:    return a | ~b;
	case IR_xnor:   return ~(a ^ b);
	case IR_shl:    return a << (b & 63);
	case IR_shr:    return a >> (b & 63);
	case IR_sar:    return (uint64_t)((int64_t)a >> (b & 63));
	case IR_rotl:   return rotl64(a, (unsigned)b);
	case IR_rotr:   return rotl64(a, 64 - (unsigned)(b & 63));
	case IR_addshl: return a + (b << imm);
	case IR_mul:    return a * b;
	case IR_mulhs:  return (uint64_t)((__int128)(int64_t)a * (int64_t)b >> 64);
	case IR_mulhu:  return (uint64_t)((unsigned __int128)a * b >> 64);
	case IR_mulhsu: return (uint64_t)((__int128)(int64_t)a * (__int128)b >> 64);
	case IR_divs:   return (uint64_t)divs((int64_t)a, (int64_t)b, false);
	case IR_rems:   return (uint64_t)divs((int64_t)a, (int64_t)b, true);
	case IR_divu:   return b ? a / b : UINT64_MAX;
	case IR_remu:   return b ? a % b : a;
	case IR_mins:   return (int64_t)a < (int64_t)b ? a : b;
	case IR_maxs:   return (int64_t)a > (int64_t)b ? a : b;
	case IR_minu:   return a < b ? a : b;
	case IR_maxu:   return a > b ? a : b;
	case IR_add32: case IR_sub32: case IR_shl32: case IR_shr32: case IR_sar32: case IR_rotl32: case IR_rotr32:
	case IR_mul32: case IR_divs32: case IR_divu32: case IR_rems32: case IR_remu32:
		return op_32(opcode, (uint32_t)a, (uint32_t)b);
	default:
		return op_bits(opcode, a);
	}
}
