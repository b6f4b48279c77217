// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0
// Command stores compares what the buffer on disk could be built on: bbolt, pebble,
// the logs tidwall/wal and hashicorp/raft-wal, and the segments of bridge-runner/buffer.
//
//	go -C hack/stores run . [-messages 100000] [-dir DIR]
//
// Each is a process of its own, which appends messages of 128 bytes by batches of 1, 16
// and 256, each of which is on the disk before the next one, is killed, opens what it
// left, and reads and releases all of it. Before each the disk's own fsyncs are
// counted, since other work on the machine changes them. -size prints what the stores
// add to a program.
//
// It is a module of its own, so that the losers do not enter the runner's go.mod.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"
)

// store keeps records in order.
type store interface {
	// append returns when the records are on the disk.
	append(records [][]byte) error
	// take reads up to n records, and releases them. It returns how many they were.
	take(n int) (int, error)
}

// stores are all there are, by name.
var stores = map[string]func(dir string) (store, error){}

var batches = []int{1, 16, 256}

func main() {
	log.SetFlags(0)
	messages := flag.Int("messages", 100_000, "how many messages to append in batches of 256; smaller batches get fewer")
	dir := flag.String("dir", os.TempDir(), "the directory, on the disk that is meant")
	size := flag.Bool("size", false, "print what each store adds to a program, in bytes")
	phase := flag.String("phase", "", "for child processes: append or drain")
	name := flag.String("store", "", "for child processes: the store")
	batch := flag.Int("batch", 1, "for child processes: the size of batches")
	flag.Parse()
	var err error
	switch {
	case *size:
		err = sizes()
	case *phase != "":
		err = child(*phase, *name, *dir, *messages, *batch)
	default:
		err = compare(*dir, *messages)
	}
	if err != nil {
		log.Fatal(err)
	}
}

func names() []string {
	out := make([]string, 0, len(stores))
	for name := range stores {
		out = append(out, name)
	}
	slices.Sort(out)
	return out
}

// compare measures every store.
func compare(dir string, messages int) error {
	fmt.Println("| store | batch | disk fsync/s | append msg/s | batches per fsync | CPU us/msg | bytes/msg | peak MB | recovery ms | drain msg/s | drain CPU us/msg | peak MB |")
	fmt.Println("|---|---|---|---|---|---|---|---|---|---|---|---|")
	for _, batch := range batches {
		n := min(messages, 2000*batch)
		for _, name := range names() {
			if err := measure(name, dir, n, batch); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
		}
	}
	return nil
}

func measure(name, dir string, n, batch int) error {
	dir, err := os.MkdirTemp(dir, "stores-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	fsyncs, err := fsyncs(dir)
	if err != nil {
		return err
	}
	data := filepath.Join(dir, "data")
	in, err := run("append", name, data, n, batch)
	if err != nil {
		return err
	}
	taken := diskUsage(data)
	out, err := run("drain", name, data, n, batch)
	if err != nil {
		return err
	}
	fmt.Printf("| %s | %d | %.0f | %.0f | %.2f | %.1f | %.0f | %.0f | %.1f | %.0f | %.1f | %.0f |\n", name, batch, fsyncs,
		in.PerSecond, in.PerSecond/float64(batch)/fsyncs, in.CPU, float64(taken)/float64(n), in.Peak, out.Open, out.PerSecond, out.CPU, out.Peak)
	return nil
}

// result is what a child process has measured.
type result struct {
	PerSecond float64
	CPU       float64 // microseconds for each message
	Peak      float64 // MB of memory
	Open      float64 // milliseconds
}

func run(phase, name, dir string, n, batch int) (r result, err error) {
	self, err := os.Executable()
	if err != nil {
		return r, err
	}
	cmd := exec.Command(self, "-phase", phase, "-store", name, "-dir", dir, "-messages", fmt.Sprint(n), "-batch", fmt.Sprint(batch))
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return r, fmt.Errorf("%s: %w", phase, err)
	}
	err = json.Unmarshal(out, &r)
	return r, err
}

// child does one phase. It ends as by a kill: nothing is closed.
func child(phase, name, dir string, n, batch int) error {
	began := time.Now()
	s, err := stores[name](dir)
	if err != nil {
		return err
	}
	r := result{Open: float64(time.Since(began).Microseconds()) / 1e3}
	cpu := cpuTime()
	began = time.Now()
	if phase == "append" {
		err = fill(s, n, batch)
	} else {
		err = drain(s, n)
	}
	if err != nil {
		return err
	}
	r.PerSecond = float64(n) / time.Since(began).Seconds()
	r.CPU = float64((cpuTime() - cpu).Microseconds()) / float64(n)
	r.Peak = peakMemory()
	if err := json.NewEncoder(os.Stdout).Encode(r); err != nil {
		return err
	}
	os.Exit(0)
	return nil
}

func fill(s store, n, batch int) error {
	records := make([][]byte, batch)
	for i := 0; i < n; i += batch {
		for j := range records {
			records[j] = fmt.Appendf(make([]byte, 0, 128), "%0128d", i+j)
		}
		if err := s.append(records[:min(batch, n-i)]); err != nil {
			return err
		}
	}
	return nil
}

func drain(s store, n int) error {
	const chunk = 512
	got := 0
	for got < n {
		k, err := s.take(chunk)
		if err != nil {
			return err
		}
		if k == 0 {
			return fmt.Errorf("%d of %d messages are there", got, n)
		}
		got += k
	}
	return nil
}
