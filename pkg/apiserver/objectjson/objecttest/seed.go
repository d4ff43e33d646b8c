package objecttest

import (
	"os"
	"strconv"
	"testing"
)

// Seed is what a test gives to New: the same in every run, so that a change is judged by what it changes. The
// environment's SEED, a number, has another one, to look for what no run has met (make fuzz does).
func Seed(t testing.TB) uint64 {
	t.Helper()
	text, ok := os.LookupEnv("SEED")
	if !ok {
		return 1
	}
	seed, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatalf("SEED is no number: %v", err)
	}
	return seed
}
