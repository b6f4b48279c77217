// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

const (
	// stopTimeout is the time from SIGTERM to SIGKILL.
	stopTimeout = 5 * time.Second

	// logShown is the number of bytes at the end of a log that an error shows.
	logShown = 2000
)

// process is a child process.
type process struct {
	name  string
	cmd   *exec.Cmd
	log   string         // the file with its standard error
	stdin io.WriteCloser // a broker ends when it is closed
	done  chan struct{}  // closed when the process has ended and all its lines are read
}

// start starts a program. onLine receives each line of its standard output.
func start(name, log string, env []string, onLine func([]byte), program string, args ...string) (*process, error) {
	file, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("starting %s: %w", name, err)
	}
	defer func() { _ = file.Close() }()
	p := &process{name: name, cmd: exec.Command(program, args...), log: log, done: make(chan struct{})}
	p.cmd.Stderr = file
	p.cmd.Env = append(os.Environ(), env...)
	p.cmd.SysProcAttr = attributes()
	if p.stdin, err = p.cmd.StdinPipe(); err != nil {
		return nil, fmt.Errorf("starting %s: %w", name, err)
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("starting %s: %w", name, err)
	}
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting %s: %w: build it with make try", name, err)
	}
	go func() {
		defer close(p.done)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			onLine(lines.Bytes())
		}
		_, _ = io.Copy(io.Discard, out) // after a line that is too long
		_ = p.cmd.Wait()                // the result is read from ProcessState
	}()
	return p, nil
}

// running reports whether the process runs.
func (p *process) running() bool {
	if p == nil {
		return false
	}
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// kill ends the process with SIGKILL, and returns the time of the signal.
func (p *process) kill() time.Time {
	now := time.Now()
	_ = p.cmd.Process.Kill() // it may have ended
	<-p.done
	return now
}

// stop ends the process with SIGTERM, and with SIGKILL if it does not end in time.
func (p *process) stop() error {
	if !p.running() {
		return nil
	}
	_ = p.stdin.Close()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("stopping %s: %w", p.name, err)
	}
	select {
	case <-p.done:
	case <-time.After(stopTimeout):
		p.kill()
	}
	return nil
}

// failed returns an error with the end of the log.
func (p *process) failed(what string) error {
	return fmt.Errorf("%s; its log ends with:\n%s", what, logEnd(p.log))
}

// logEnd returns the end of a log.
func logEnd(path string) string {
	log, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	text := strings.TrimSpace(string(log))
	if len(text) > logShown {
		text = "... " + text[len(text)-logShown:]
	}
	return text
}

// The ports are below the range of ephemeral ports of Linux and macOS, because the port of a killed
// server must stay free until the server starts again.
const (
	firstPort = 10000
	portCount = 20000
)

// freeAddresses returns addresses of the loopback interface without a listener.
func freeAddresses(n int) ([]string, error) {
	var free []string
	for i := range portCount {
		address := fmt.Sprintf("127.0.0.1:%d", firstPort+(os.Getpid()*97+i)%portCount)
		l, err := net.Listen("tcp", address)
		if err != nil {
			continue
		}
		if err := l.Close(); err != nil {
			return nil, err
		}
		if free = append(free, address); len(free) == n {
			return free, nil
		}
	}
	return nil, fmt.Errorf("of the ports %d to %d, only %d are free, and %d are needed: end programs that use these ports", firstPort, firstPort+portCount-1, len(free), n)
}
