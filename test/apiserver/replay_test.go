package apiserver

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

const oracle = "../oracle"

// TestAnswersAreTheRecordedOnes plays every recorded request of kube-apiserver. As many as test/oracle/score
// says, which is all, must be answered alike.
func TestAnswersAreTheRecordedOnes(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(oracle, "score"))
	if err != nil {
		t.Fatal(err)
	}
	least, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatalf("test/oracle/score holds no number: %v", err)
	}
	replay := filepath.Join(t.TempDir(), "replay")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", replay, "../oracle/replay").CombinedOutput(); err != nil {
		t.Fatalf("building the replay: %v\n%s", err, out)
	}
	same, total := 0, 0
	for try := 0; try < 2 && (try == 0 || same < least); try++ { // what differs by chance on a busy machine differs once
		s := start(t, t.TempDir())
		// It exits with an error while any answer differs; what counts is the score.
		out, _ := exec.CommandContext(t.Context(), replay, "-server", s.url, "-token", adminToken, "-p", "8", filepath.Join(oracle, "scenarios")).CombinedOutput()
		t.Logf("%s", out)
		if same, total, err = score(string(out)); err != nil {
			t.Fatal(err)
		}
	}
	if same < least {
		t.Errorf("%d of %d answers are the recorded ones, %d were before", same, total, least)
	}
}

// score reads the last line: "2537 of 4429 answers the same".
func score(out string) (same, total int, err error) {
	found := regexp.MustCompile(`(?m)^(\d+) of (\d+) answers the same$`).FindStringSubmatch(out)
	if found == nil {
		return 0, 0, fmt.Errorf("the replay gave no score:\n%s", out)
	}
	same, _ = strconv.Atoi(found[1])
	total, _ = strconv.Atoi(found[2])
	return same, total, nil
}
