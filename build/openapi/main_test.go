package main

import (
	"os"
	"path/filepath"
	"testing"
)

// The embedded document follows the sources: an update of the API's modules must be followed by a run of
// this command.
func TestEmbeddedSchemasAreThoseOfTheSources(t *testing.T) {
	fresh := filepath.Join(t.TempDir(), "definitions.json.gz")
	if err := run(fresh); err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile(fresh)
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile("../../pkg/apiserver/openapi/definitions.json.gz")
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != string(want) {
		t.Error("pkg/apiserver/openapi/definitions.json.gz is not what the sources give: run `make openapi`")
	}
}

func TestDescriptionsKeepParagraphsAndLeaveMarkersOut(t *testing.T) {
	got := description([]string{"First line", "goes on.", "", "TODO: later", "+optional", "Second:", "  indented", "---", "for readers of the source"})
	if want := "First line goes on.\n\nSecond:\n  indented"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestRunNamesWhatIsMissing(t *testing.T) {
	if err := run(""); err == nil {
		t.Error("no file was named, and none was asked for")
	}
}
