package watchcache

import "math/bits"

// CombineCRC gives the CRC-32 (IEEE) of two texts one after the other from their own. Appending n zero
// bytes is a linear map over GF(2) on the register; maps for powers of two are squared as needed (the
// method of zlib's crc32_combine, after M. Adler).
func CombineCRC(first, second uint32, secondSize int64) uint32 {
	if secondSize == 0 {
		return first
	}
	crc := first
	for i := 0; i < bits.Len64(uint64(secondSize)); i++ {
		if secondSize>>i&1 == 1 {
			crc = zeroBytes[i].times(crc)
		}
	}
	return crc ^ second
}

// matrix is a linear map of 32-bit registers, a column for each bit.
type matrix [32]uint32

func (m *matrix) times(v uint32) (sum uint32) {
	for v != 0 {
		i := bits.TrailingZeros32(v)
		sum ^= m[i]
		v &= v - 1
	}
	return sum
}

func (m *matrix) squared() *matrix {
	var out matrix
	for i := range out {
		out[i] = m.times(m[i])
	}
	return &out
}

// zeroBytes[i] appends 2^i zero bytes.
var zeroBytes = func() (out [63]*matrix) {
	var bit matrix // appends one zero bit
	bit[0] = 0xedb88320
	for i := 1; i < 32; i++ {
		bit[i] = 1 << (i - 1)
	}
	m := &bit
	for range 3 {
		m = m.squared()
	}
	for i := range out {
		out[i] = m
		m = m.squared()
	}
	return out
}()
