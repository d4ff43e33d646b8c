package main

import (
	"bytes"
	"context"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// source is the package that holds the assembly, and symbol the function that is all of the program: the
// linker marks what was written in assembly with the calling convention.
const (
	source = "github.com/sampan-project/sampan/build/pause/program"
	symbol = "main.pause.abi0"
)

// loadAddress is where the program lies in memory: above the lowest addresses, which the kernel keeps free,
// and aligned to the largest page of either architecture.
const loadAddress = 0x10000

var machines = map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64}

// assemble returns the pause program of an architecture as an ELF file.
func assemble(ctx context.Context, arch string) ([]byte, error) {
	machine, ok := machines[arch]
	if !ok {
		return nil, fmt.Errorf("no pause program for architecture %q: choose amd64 or arm64", arch)
	}
	dir, err := os.MkdirTemp("", "pause")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	linked := filepath.Join(dir, "program")
	cmd := exec.CommandContext(ctx, "go", "build", "-p", "2", "-o", linked, source)
	cmd.Env = append(os.Environ(), "GOOS=linux", "GOARCH="+arch, "CGO_ENABLED=0", "GOFLAGS=-buildvcs=false -trimpath")
	if out, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("assembling %s for %s: %w\n%s", source, arch, err, out)
	}
	code, err := cut(linked)
	if err != nil {
		return nil, fmt.Errorf("taking %s out of the program for %s: %w", symbol, arch, err)
	}
	return executable(machine, code)
}

// cut returns the machine code of the function symbol in a linked program.
func cut(linked string) ([]byte, error) {
	f, err := elf.Open(linked)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	symbols, err := f.Symbols()
	if err != nil {
		return nil, err
	}
	for _, s := range symbols {
		if s.Name != symbol {
			continue
		}
		section := f.Sections[s.Section]
		code := make([]byte, s.Size)
		_, err := section.ReadAt(code, int64(s.Value-section.Addr))
		return code, err
	}
	return nil, errors.New("the linker left no such symbol")
}

// executable puts an ELF header and one program header before the code. Both are mapped with it, read-only
// and executable: there is no data.
func executable(machine elf.Machine, code []byte) ([]byte, error) {
	const headers = 64 + 56 // of a 64-bit ELF file and of one segment
	size := uint64(headers + len(code))
	header := elf.Header64{
		Type: uint16(elf.ET_EXEC), Machine: uint16(machine), Version: uint32(elf.EV_CURRENT),
		Entry: loadAddress + headers, Phoff: 64, Ehsize: 64, Phentsize: 56, Phnum: 1, Shentsize: 64,
	}
	copy(header.Ident[:], elf.ELFMAG)
	header.Ident[elf.EI_CLASS] = byte(elf.ELFCLASS64)
	header.Ident[elf.EI_DATA] = byte(elf.ELFDATA2LSB)
	header.Ident[elf.EI_VERSION] = byte(elf.EV_CURRENT)
	segments := []elf.Prog64{
		{Type: uint32(elf.PT_LOAD), Flags: uint32(elf.PF_R | elf.PF_X), Vaddr: loadAddress, Paddr: loadAddress, Filesz: size, Memsz: size, Align: loadAddress},
	}
	var b bytes.Buffer
	for _, part := range []any{header, segments, code} {
		if err := binary.Write(&b, binary.LittleEndian, part); err != nil {
			return nil, err
		}
	}
	return b.Bytes(), nil
}
