package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// logTail is the number of lines that "logs NAME" prints.
const logTail = 60

func logPath(name string) string {
	return filepath.Join(logDir, name+".log")
}

// runLogs prints the paths of the logs, or the end of the named logs.
func runLogs(names []string) error {
	if len(names) == 0 {
		paths, err := filepath.Glob(logPath("*"))
		if err != nil {
			return err
		}
		for _, path := range paths {
			fmt.Println(path)
		}
		return nil
	}
	for _, name := range names {
		content, err := os.ReadFile(logPath(name))
		if errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("no log of %q exists; \"logs\" without a name lists the logs", name)
		}
		if err != nil {
			return err
		}
		fmt.Printf("%s:\n%s", logPath(name), lastLines(content, logTail))
	}
	return nil
}

func lastLines(content []byte, n int) []byte {
	lines := bytes.SplitAfter(content, []byte("\n"))
	// After the last line break, SplitAfter returns an empty element, which is not a line.
	return bytes.Join(lines[max(0, len(lines)-1-n):], nil)
}
