package main

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
)

// debianFiles returns programs of this machine, with the libraries and the dynamic loader that they
// need, each at its own path.
func debianFiles(ctx context.Context, programs []string) ([]imageFile, error) {
	var files []imageFile
	for _, program := range programs {
		if !filepath.IsAbs(program) {
			return nil, fmt.Errorf("program %q: use the absolute path that it has in its package", program)
		}
		output, err := exec.CommandContext(ctx, "ldd", program).CombinedOutput()
		if err != nil {
			return nil, fmt.Errorf("ldd %s: %w: %s", program, err, strings.TrimSpace(string(output)))
		}
		libraries, err := parseLdd(string(output))
		if err != nil {
			return nil, fmt.Errorf("ldd %s: %w", program, err)
		}
		files = append(files, imageFile{source: program, target: program, mode: 0o755})
		for _, library := range libraries {
			files = append(files, imageFile{source: library, target: library, mode: 0o755})
		}
	}
	return files, nil
}

// parseLdd reads the paths from lines of ldd such as
//
//	linux-vdso.so.1 (0x00007ffd...)
//	libc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007f3a...)
//	/lib64/ld-linux-x86-64.so.2 (0x00007f3b...)
//
// The first line is provided by the kernel and is not a file; the last line is the dynamic loader.
func parseLdd(output string) ([]string, error) {
	var libraries []string
	for line := range strings.Lines(output) {
		line = strings.TrimSpace(line)
		if _, found, ok := strings.Cut(line, " => "); ok {
			line = found
		}
		if strings.HasPrefix(line, "not found") {
			return nil, fmt.Errorf("a library is missing:\n%s", output)
		}
		if library, _, _ := strings.Cut(line, " "); filepath.IsAbs(library) {
			libraries = append(libraries, library)
		}
	}
	return libraries, nil
}
