// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

// Package guides runs the commands of the pages in docs/guides, checks their manifests, and checks the
// site that MkDocs builds from docs.
//
// A block of a page whose first line is a comment with the name of a file is that file. The commands of
// a page run in the order of the page, in a directory with its files, with kubectl for a real API server.
package guides

import (
	"context"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/mqttbridge/mqttbridge-operator/test/apiserver"
	"github.com/mqttbridge/mqttbridge-operator/test/mqtttest"
)

var server *apiserver.Server

func TestMain(m *testing.M) {
	code := apiserver.Run(m, func(_ context.Context, s *apiserver.Server) error {
		server = s
		return nil
	})
	mqtttest.RemoveRunnerBinary()
	os.Exit(code)
}

// block is a code block of a page.
type block struct {
	language, text string
	line           int // of its first line in the page
}

var fileName = regexp.MustCompile(`^# ([a-z0-9-]+\.(?:yaml|conf))\n`)

// file returns the name of the file that the block contains. It is empty if the block is no file.
func (b *block) file() string {
	if m := fileName.FindStringSubmatch(b.text); m != nil && b.language != "sh" {
		return m[1]
	}
	return ""
}

// readPage returns the code blocks of a page in docs.
func readPage(t *testing.T, name string) (blocks []block) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(apiserver.Root(), "docs", name))
	if err != nil {
		t.Fatal(err)
	}
	return parseBlocks(string(data))
}

func parseBlocks(page string) (blocks []block) {
	var current *block
	number := 0
	for line := range strings.Lines(page) {
		number++
		fence, isFence := strings.CutPrefix(line, "```")
		switch {
		case isFence && current == nil:
			current = &block{language: strings.TrimSpace(fence), line: number + 1}
		case isFence:
			blocks = append(blocks, *current)
			current = nil
		case current != nil:
			current.text += line
		}
	}
	return blocks
}

// scripts returns the blocks of shell commands.
func scripts(blocks []block) (found []block) {
	for _, b := range blocks {
		if b.language == "sh" {
			found = append(found, b)
		}
	}
	return found
}

// commands returns the commands of a script. A command that continues after a backslash is one command.
func commands(script string) (found []string) {
	for line := range strings.Lines(strings.ReplaceAll(script, "\\\n", " ")) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			found = append(found, line)
		}
	}
	return found
}
