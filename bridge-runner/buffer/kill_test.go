// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package buffer

import (
	"bufio"
	"bytes"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"testing"
	"time"
)

var kills = flag.Int("kills", 100, "number of times that the process that uses the log is killed")

// child is the environment variable with the log directory. If it is set, this process is a
// child that uses the log.
const child = "BUFFER_TEST_DIRECTORY"

// cleanups are called after all tests.
var cleanups []func()

func TestMain(m *testing.M) {
	if dir := os.Getenv(child); dir != "" {
		if err := runChild(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	code := m.Run()
	for _, f := range cleanups {
		f()
	}
	os.Exit(code)
}

const logSize = 2 << 20

// runChild appends, reads and releases records until the process is killed. It prints "A n" when
// all records up to n are appended, and "R n" before it releases all records up to n.
func runChild(dir string) error {
	l, err := Open(dir, logSize)
	if err != nil {
		return err
	}
	var last uint64
	var size int64
	for {
		batch := make([][]byte, 0, 50)
		for i := range 1 + rand.IntN(50) {
			batch = append(batch, recordBody(l.Next()+uint64(i)))
		}
		_, err := l.Append(batch)
		switch {
		case err == nil:
			fmt.Printf("A %d\n", l.Next()-1)
		case !errors.Is(err, ErrFull):
			return err
		}
		if rand.IntN(3) > 0 && err == nil {
			continue
		}
		if _, err := l.Read(1+rand.IntN(150), 1<<20, func(n uint64, _ []byte, s int64) { last, size = n, size+s }); err != nil {
			return err
		}
		fmt.Printf("R %d\n", last)
		l.Release(last, size)
		size = 0
		if err := l.Save(rand.IntN(10) == 0); err != nil {
			return err
		}
	}
}

// recordBody returns the content of the record with number n.
func recordBody(n uint64) []byte {
	return bytes.Repeat(strconv.AppendUint([]byte("record "), n, 10), int(n%200))
}

func TestLog_KilledAtRandom_LosesNothing(t *testing.T) {
	dir := t.TempDir()
	var appended, released uint64
	n, again := *kills, uint64(0)
	for i := range n {
		a, r := killAtRandom(t, dir)
		appended, released = max(appended, a), max(released, r)
		l := open(t, dir, logSize)
		var first, last uint64
		for l.Cursor() < l.Next() {
			lost, err := l.Read(1000, 1<<20, func(n uint64, body []byte, _ int64) {
				if first == 0 {
					first = n
				} else if n != last+1 {
					t.Errorf("kill %d: record %d follows record %d", i, n, last)
				}
				if last = n; !bytes.Equal(body, recordBody(n)) {
					t.Errorf("kill %d: record %d differs from the appended one", i, n)
				}
			})
			if err != nil || lost > 0 {
				t.Fatalf("kill %d: %d lost: %v", i, lost, err)
			}
		}
		if first == 0 { // the log is empty
			first, last = l.Next(), l.Next()-1
		}
		if first > released+1 || last < appended {
			t.Fatalf("kill %d: the log has records %d to %d; the last released is %d, the last appended %d", i, first, last, released, appended)
		}
		if l.size > logSize {
			t.Fatalf("kill %d: the log uses %d bytes", i, l.size)
		}
		again += released + 1 - first
		l.closeFiles()
		if t.Failed() {
			return
		}
	}
	t.Logf("%d kills: %d records appended, %d released, %d of them read again, none lost", n, appended, released, again)
}

// killAtRandom runs a child for up to 25 ms, and returns the last numbers that it printed.
func killAtRandom(t *testing.T, dir string) (appended, released uint64) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), child+"="+dir)
	var failed bytes.Buffer
	cmd.Stderr = &failed
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	killer := time.AfterFunc(time.Duration(rand.IntN(25_000))*time.Microsecond, func() { _ = cmd.Process.Kill() })
	defer killer.Stop()
	for lines := bufio.NewScanner(out); lines.Scan(); {
		var kind byte
		var n uint64
		if _, err := fmt.Sscanf(lines.Text(), "%c %d", &kind, &n); err != nil {
			continue // the kill truncated the line
		}
		if kind == 'A' {
			appended = n
		} else {
			released = n
		}
	}
	_ = cmd.Wait() // it was killed
	if failed.Len() > 0 {
		t.Fatal(failed.String())
	}
	return appended, released
}
