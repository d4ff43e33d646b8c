// Command openapi compares the OpenAPI documents of a server with recorded ones, and prints each difference:
//
//	go run ./test/oracle/openapi -server https://127.0.0.1:6443 -token T FOLDER
//
// FOLDER holds documents as v2.json.gz and v3__apis__apps__v1.json.gz. Without a server the documents' digests are
// printed, which test/oracle/openapi/digests keeps for the tests.
package main

import (
	"compress/gzip"
	"crypto/tls"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"github.com/sampan-project/sampan/test/oracle/documents"
)

func main() {
	server, token := flag.String("server", "", "URL of the server to compare"), flag.String("token", "", "bearer token")
	flag.Parse()
	differ, err := run(flag.Arg(0), *server, *token)
	if err != nil {
		fmt.Fprintln(os.Stderr, "openapi:", err)
		os.Exit(2)
	}
	if differ > 0 {
		fmt.Println(differ, "differences")
		os.Exit(1)
	}
}

func run(folder, server, token string) (differ int, err error) {
	files, err := filepath.Glob(filepath.Join(folder, "*.json.gz"))
	if err != nil || len(files) == 0 {
		return 0, fmt.Errorf("no *.json.gz in %q: name the folder of recorded documents (%w)", folder, os.ErrNotExist)
	}
	for _, file := range files {
		want, err := recorded(file)
		if err != nil {
			return differ, fmt.Errorf("%s: %w", file, err)
		}
		path := strings.ReplaceAll(strings.TrimSuffix(filepath.Base(file), ".json.gz"), "__", "/")
		if server == "" {
			for _, line := range want.Digest() {
				fmt.Println(path, line)
			}
			continue
		}
		got, err := served(server+"/openapi/"+path, token)
		if err != nil {
			return differ, err
		}
		for _, line := range got.Differences(want) {
			fmt.Println(path, line)
			differ++
		}
	}
	return differ, nil
}

func recorded(file string) (*documents.Document, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	z, err := gzip.NewReader(f)
	if err != nil {
		return nil, err
	}
	text, err := io.ReadAll(z)
	if err != nil {
		return nil, err
	}
	return documents.Read(text)
}

func served(url, token string) (*documents.Document, error) {
	r, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	r.Header.Set("Authorization", "Bearer "+token)
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}} //nolint:gosec // a server under test
	answer, err := client.Do(r)
	if err != nil {
		return nil, err
	}
	defer func() { _ = answer.Body.Close() }()
	text, err := io.ReadAll(answer.Body)
	if err == nil && answer.StatusCode != http.StatusOK {
		err = fmt.Errorf("GET %s: %s", url, answer.Status)
	}
	if err != nil {
		return nil, err
	}
	return documents.Read(text)
}
