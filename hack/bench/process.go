// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unsafe"
)

// process is a broker or a bridge.
type process struct {
	name string
	cmd  *exec.Cmd
	log  bytes.Buffer
	done chan struct{} // closed when the process has ended
}

const stopsWithin = 10 * time.Second

func start(name, program string, env []string, args ...string) (*process, error) {
	p := &process{name: name, cmd: exec.Command(program, args...), done: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = &p.log, &p.log
	p.cmd.Env = append(os.Environ(), env...)
	// The kernel kills the child when the bench ends, also if the bench is killed.
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting %s: %w", name, err)
	}
	go func() {
		_ = p.cmd.Wait() // the result is read from ProcessState
		close(p.done)
	}()
	return p, nil
}

// alive returns nil while the process runs, and then an error with the end of its log.
func (p *process) alive() error {
	select {
	case <-p.done:
		return fmt.Errorf("%s has ended (%s): %s", p.name, p.cmd.ProcessState, p.tail())
	default:
		return nil
	}
}

// tail returns the end of the log of a process that has ended.
func (p *process) tail() string {
	const shown = 2000
	log := strings.TrimSpace(p.log.String())
	if len(log) > shown {
		log = "... " + log[len(log)-shown:]
	}
	return log
}

// stop ends the process and waits until it has ended.
func (p *process) stop() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // it may have ended
	select {
	case <-p.done:
	case <-time.After(stopsWithin):
		_ = p.cmd.Process.Kill()
		<-p.done
	}
}

// cpu returns the processor time that the process has used: user and system time of all threads. It
// reads the kernel's CPU clock of the process; /proc/PID/stat has the same value in steps of 10 ms.
func (p *process) cpu() (time.Duration, error) { return cpuClock(p.cmd.Process.Pid) }

func cpuClock(pid int) (time.Duration, error) {
	const cpuclockSched = 2 // see clock_getcpuclockid(3)
	var t syscall.Timespec
	clock := uintptr(^pid<<3 | cpuclockSched)
	if _, _, errno := syscall.Syscall(syscall.SYS_CLOCK_GETTIME, clock, uintptr(unsafe.Pointer(&t)), 0); errno != 0 {
		return 0, fmt.Errorf("CPU clock of process %d: %w", pid, errno)
	}
	return time.Duration(t.Nano()), nil
}

// memory returns a line of /proc/PID/status in bytes: VmRSS is the current resident size, VmHWM is
// its peak.
func (p *process) memory(line string) (int64, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	for l := range bytes.Lines(status) {
		if rest, ok := bytes.CutPrefix(l, []byte(line+":")); ok {
			kib, err := strconv.ParseInt(string(bytes.Fields(rest)[0]), 10, 64)
			return kib << 10, err
		}
	}
	return 0, fmt.Errorf("%s of %s is unknown", line, p.name)
}

// machineCPU returns the processor time that all processes of the machine have used, including the
// time that the host stole.
func machineCPU() (time.Duration, error) {
	stat, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, err
	}
	const ticksPerSecond, idle, iowait, steal = 100, 3, 4, 7
	line, _, _ := bytes.Cut(stat, []byte{'\n'})
	var ticks int64
	for i, field := range bytes.Fields(line)[1:] {
		if i == idle || i == iowait || i > steal {
			continue
		}
		n, err := strconv.ParseInt(string(field), 10, 64)
		if err != nil {
			return 0, fmt.Errorf("/proc/stat: %w", err)
		}
		ticks += n
	}
	return time.Duration(ticks) * time.Second / ticksPerSecond, nil
}

// freePort returns a loopback port without a listener. The port is below the range of ephemeral
// ports.
func freePort() (int, error) {
	for range 1000 {
		nextPort++
		port := 10000 + nextPort%20000
		if l, err := net.Listen("tcp", loopback(port)); err == nil {
			return port, l.Close()
		}
	}
	return 0, errors.New("no free port")
}

var nextPort = os.Getpid() * 97

func loopback(port int) string { return fmt.Sprintf("127.0.0.1:%d", port) }
