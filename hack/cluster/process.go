package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// A process is a process that this program started. A pid alone does not identify it, because the
// kernel reuses pids. The record therefore also contains the start time, in clock ticks since boot,
// and the boot identifier.
type process struct {
	Name      string
	PID       int
	StartTime uint64
	Boot      string
}

const (
	// stopGrace is the time that a process may take to end after a signal.
	stopGrace = 10 * time.Second

	stopPoll = 50 * time.Millisecond
)

// startProcess runs a program in its own session, so that it outlives this program and its
// terminal, and records it. path precedes the usual PATH.
func startProcess(name, path string, argv []string) error {
	log, err := os.OpenFile(logPath(name), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }() // the program has its own descriptor

	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Dir = stateDir
	// The program gets no other variables: for example, the cluster must not use the user's proxy.
	cmd.Env = []string{"PATH=" + path + ":" + os.Getenv("PATH")}
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", name, err)
	}
	// Wait for the process in case it ends early; a zombie would look alive.
	go func() { _ = cmd.Wait() }()

	p := process{Name: name, PID: cmd.Process.Pid}
	if p.StartTime, err = startTime(p.PID); err != nil {
		return fmt.Errorf("%s ended immediately; see %s: %w", name, logPath(name), err)
	}
	if p.Boot, err = bootID(); err != nil {
		return err
	}
	record, err := json.Marshal(p)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(processDir, name+".json"), record, 0o644)
}

// startedProcesses reads the records of all started processes, alive or not.
func startedProcesses() ([]process, error) {
	files, err := filepath.Glob(filepath.Join(processDir, "*.json"))
	if err != nil {
		return nil, err
	}
	var processes []process
	for _, file := range files {
		record, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		var p process
		if err := json.Unmarshal(record, &p); err != nil {
			return nil, fmt.Errorf("read %s: %w", file, err)
		}
		processes = append(processes, p)
	}
	return processes, nil
}

// alive reports whether the recorded process still runs. It returns false if another process has
// the same pid.
func (p process) alive() bool {
	boot, err := bootID()
	if err != nil || boot != p.Boot {
		return false
	}
	started, err := startTime(p.PID)
	return err == nil && started == p.StartTime
}

// stop sends the signal first, sends SIGKILL if the process continues to run, and waits until it
// has ended. It does nothing if the pid belongs to another process.
func (p process) stop(first syscall.Signal) error {
	for _, signal := range []syscall.Signal{first, syscall.SIGKILL} {
		if !p.alive() {
			return nil
		}
		if err := syscall.Kill(p.PID, signal); err != nil && !errors.Is(err, syscall.ESRCH) {
			return fmt.Errorf("stop %s (pid %d): %w", p.Name, p.PID, err)
		}
		for deadline := time.Now().Add(stopGrace); time.Now().Before(deadline); time.Sleep(stopPoll) {
			if !p.alive() {
				return nil
			}
		}
	}
	return fmt.Errorf("%s (pid %d) still runs %s after SIGKILL", p.Name, p.PID, stopGrace)
}

// startTime returns the start time of a running process. A zombie does not count as running.
func startTime(pid int) (uint64, error) {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return 0, err
	}
	return parseStartTime(string(stat))
}

// parseStartTime reads the start time from /proc/PID/stat; see proc(5). The program's name, in
// parentheses, may contain spaces and parentheses.
func parseStartTime(stat string) (uint64, error) {
	const (
		// The indexes in proc(5) start at 1, and the first two fields are cut off.
		state     = 0
		startTime = 22 - 3
	)
	end := strings.LastIndex(stat, ")")
	fields := strings.Fields(stat[end+1:])
	if end < 0 || len(fields) <= startTime {
		return 0, fmt.Errorf("malformed /proc/PID/stat: %q", stat)
	}
	if fields[state] == "Z" || fields[state] == "X" {
		return 0, errors.New("the process has ended")
	}
	return strconv.ParseUint(fields[startTime], 10, 64)
}

// bootID returns the identifier of the machine's current boot.
func bootID() (string, error) {
	id, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return strings.TrimSpace(string(id)), err
}
