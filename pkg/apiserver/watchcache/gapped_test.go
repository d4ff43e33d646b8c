package watchcache

import (
	"bytes"
	"compress/flate"
	"fmt"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
)

// TestGapsAreFilledWithAnything deflates rows that are much alike around gaps, and fills these with other texts of the
// same lengths, some of them like what stands around.
func TestGapsAreFilledWithAnything(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for _, rows := range []int{0, 1, 2, 100, 400} {
		var text []byte
		var at, lengths []int
		for i := range rows {
			text = fmt.Appendf(text, `{"cells":["boat-%d","`, i)
			at, lengths = append(at, len(text)), append(lengths, random.IntN(7))
			text = fmt.Appendf(text, `","red"],"object":{"name":"boat-%d","note":%q}},`, i, strings.Repeat("a note that is long ", 10))
		}
		g := NewGapped(text, at, lengths)
		if max := 400 + rows*150; g.Size()-48*rows > max {
			t.Errorf("%d rows take %d bytes, of %d: nothing refers across the gaps", rows, g.Size(), len(text))
		}
		for round := range 20 {
			texts := make([][]byte, len(at))
			var want []byte
			from := 0
			for i, n := range lengths {
				texts[i] = []byte([]string{"cells a note", "12345678", "\x01\x01\x01\x01\x01\x01\x01"}[(round+i)%3][:n])
				want = append(append(want, text[from:at[i]]...), texts[i]...)
				from = at[i]
			}
			want = append(want, text[from:]...)
			if !g.Fits(texts) {
				t.Fatal("texts of the right lengths do not fit")
			}
			b := g.Filled([]byte("before")[:0], texts)
			plain, err := io.ReadAll(flate.NewReader(io.MultiReader(bytes.NewReader(b.Deflated), strings.NewReader("\x03\x00"))))
			if err != nil || !bytes.Equal(plain, want) {
				t.Fatalf("%d rows: %v: %.300q, want %.300q", rows, err, plain, want)
			}
			if b.Size != len(want) || b.CRC != crc32.ChecksumIEEE(want) {
				t.Fatalf("%d rows: the sum or the size is wrong", rows)
			}
		}
		if rows > 0 {
			texts := make([][]byte, rows)
			texts[0] = make([]byte, lengths[0]+1)
			if g.Fits(texts) || g.Fits(texts[1:]) {
				t.Error("texts of other lengths fit")
			}
		}
	}
}

// TestAnyTextIsDeflated has texts of every byte, with copies of every length from near and from further away than
// deflate can say.
func TestAnyTextIsDeflated(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	for range 20 {
		letters, size := 1+random.IntN(256), random.IntN(100_000)
		text := []byte{0, 255, 143, 144}
		for len(text) < size {
			if from := random.IntN(len(text)); random.IntN(3) > 0 {
				text = append(text, text[from:min(len(text), from+random.IntN(600))]...)
			} else {
				text = append(text, byte(random.IntN(letters)))
			}
		}
		var at, lengths []int
		if len(text) > 100 {
			at, lengths = []int{50, 50, 51, len(text)}, []int{0, 0, 0, 0}
		}
		b := NewGapped(text, at, lengths).Filled(nil, make([][]byte, len(at)))
		plain, err := io.ReadAll(flate.NewReader(io.MultiReader(bytes.NewReader(b.Deflated), strings.NewReader("\x03\x00"))))
		if err != nil || !bytes.Equal(plain, text) || b.CRC != crc32.ChecksumIEEE(text) {
			t.Fatalf("%d bytes of %d letters: %v", len(text), letters, err)
		}
	}
}
