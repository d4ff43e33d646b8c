package runtime

import (
	"bytes"
	"io"
	"os"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/sampan-project/sampan/pkg/kubelet/cri"
)

// The limits of termination messages: what a container's file may hold, and what is taken of its log.
const (
	messageBytes  = 4096
	logBytes      = 2048
	logLines      = 80
	logTailToRead = 64 << 10
)

// terminationMessage is what a container that has ended left for people to read: its file, and where that
// is empty and the policy says so, the end of its log. An end that only the runtime explains has its words.
func (m *Manager) terminationMessage(s *cri.ContainerStatus) string {
	path := s.GetAnnotations()[annotationMessagePath]
	policy := corev1.TerminationMessagePolicy(s.GetAnnotations()[annotationMessagePolicy])
	message := s.GetMessage()
	for _, mount := range s.GetMounts() {
		if path == "" || mount.GetContainerPath() != path {
			continue
		}
		if text := head(mount.GetHostPath(), messageBytes); text != "" {
			if message != "" {
				return message + ": " + text
			}
			return text
		}
	}
	if message == "" && policy == corev1.TerminationMessageFallbackToLogsOnError && s.GetExitCode() != 0 {
		return logTail(s.GetLogPath())
	}
	return message
}

// head reads the beginning of a file that a container wrote. What cannot be read is as good as empty.
func head(path string, limit int64) string {
	info, err := os.Lstat(path)
	if err != nil || !info.Mode().IsRegular() {
		return ""
	}
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	b, _ := io.ReadAll(io.LimitReader(f, limit)) // half of it is better than nothing
	return strings.ToValidUTF8(string(b), "\uFFFD")
}

// logTail is the end of a log in CRI's format, without the times and tags.
func logTail(path string) string {
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil && info.Size() > logTailToRead {
		if _, err := f.Seek(-logTailToRead, io.SeekEnd); err != nil {
			return ""
		}
	}
	raw, _ := io.ReadAll(f) // half of it is better than nothing
	lines := bytes.SplitAfter(raw, []byte("\n"))
	if len(lines) > 0 && len(lines[len(lines)-1]) == 0 {
		lines = lines[:len(lines)-1]
	}
	if len(lines) > logLines {
		lines = lines[len(lines)-logLines:]
	}
	var out []byte
	for _, line := range lines {
		parts := bytes.SplitN(line, []byte(" "), 4) // time, stream, tag, text
		if len(parts) < 4 {
			continue
		}
		text := parts[3]
		if string(parts[2]) == "P" {
			text = bytes.TrimSuffix(text, []byte("\n"))
		}
		out = append(out, text...)
	}
	if len(out) > logBytes {
		out = out[len(out)-logBytes:]
	}
	return strings.ToValidUTF8(string(out), "\uFFFD")
}
