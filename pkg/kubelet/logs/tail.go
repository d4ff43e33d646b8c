package logs

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
)

const tailBlock = 64 << 10

// tail finds where the last n lines begin: at offset of the newest file, or skip bytes into the first of
// the older files that it answers. A line in pieces counts once.
func tail(newest *os.File, older []string, n int64) (offset int64, used []string, skip int64, err error) {
	info, err := newest.Stat()
	if err != nil {
		return 0, nil, 0, fmt.Errorf("finding the last lines of the log: %w", err)
	}
	offset, found, err := tailOf(newest, info.Size(), n)
	if err != nil {
		return 0, nil, 0, err
	}
	for i := len(older) - 1; i >= 0 && found < n; i-- {
		content, err := open(older[i])
		if errors.Is(err, os.ErrNotExist) {
			break
		}
		if err != nil {
			return 0, nil, 0, err
		}
		at, more, err := tailOfStream(content, n-found)
		_ = content.Close()
		if err != nil {
			return 0, nil, 0, err
		}
		used, skip, found = older[i:], at, found+more
	}
	return offset, used, skip, nil
}

// tailOf reads backwards from the end, block by block.
func tailOf(f io.ReaderAt, size, n int64) (offset, found int64, err error) {
	if n == 0 {
		return size, 0, nil
	}
	end := size     // of the entry whose beginning is looked for
	var rest []byte // what is known of that entry
	for at := size; at > 0; {
		block := make([]byte, min(at, tailBlock))
		at -= int64(len(block))
		if _, err := f.ReadAt(block, at); err != nil && !errors.Is(err, io.EOF) {
			return 0, 0, fmt.Errorf("finding the last lines of the log: %w", err)
		}
		rest = append(block, rest...)
		for {
			i := bytes.LastIndexByte(rest[:max(len(rest)-1, 0)], '\n') // the last byte is the entry's own newline
			if i < 0 {
				break
			}
			// What stands before i+1 ends a line where it is not a piece of the one after it.
			entryBefore := rest[bytes.LastIndexByte(rest[:i], '\n')+1 : i]
			if bytes.LastIndexByte(rest[:i], '\n') < 0 && at > 0 {
				break // its beginning is in the block before
			}
			if !partialLine(entryBefore) {
				if found++; found == n {
					return at + int64(i) + 1, found, nil
				}
			}
			rest, end = rest[:i+1], at+int64(i)+1
		}
	}
	if end > 0 {
		found++
	}
	return 0, found, nil
}

// tailOfStream reads forwards, for what can only be read so.
func tailOfStream(r io.Reader, n int64) (offset, found int64, err error) {
	lines := bufio.NewReaderSize(r, tailBlock)
	var starts []int64 // of the last n lines, in a ring
	var at int64
	for fresh := true; ; {
		raw, err := lines.ReadBytes('\n')
		if len(raw) > 0 && fresh {
			if int64(len(starts)) < n {
				starts = append(starts, at)
			} else {
				starts[found%n] = at
			}
			found++
		}
		fresh = !partialLine(raw)
		at += int64(len(raw))
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return 0, 0, fmt.Errorf("finding the last lines of a rotated log: %w", err)
		}
	}
	if found <= n {
		return 0, found, nil
	}
	return starts[found%n], n, nil
}
