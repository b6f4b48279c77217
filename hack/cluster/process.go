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

// A process is one that this program started. A pid alone does not identify it:
// the kernel gives pids out again, so the record also holds when the process
// started, in clock ticks since boot, and which boot that was.
type process struct {
	Name      string
	PID       int
	StartTime uint64
	Boot      string
}

const (
	// stopGrace is how long a process may take to end on its own.
	stopGrace = 10 * time.Second

	stopPoll = 50 * time.Millisecond
)

// startProcess runs a program in a session of its own, so that it outlives this
// program and its terminal, and records it. path goes before the usual PATH.
func startProcess(name, path string, argv []string) error {
	log, err := os.OpenFile(logPath(name), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }() // the program has its own

	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Dir = stateDir
	// Nothing else of the environment: a proxy, say, is not the cluster's.
	cmd.Env = []string{"PATH=" + path + ":" + os.Getenv("PATH")}
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", name, err)
	}
	// Collect it if it ends early; a zombie would look alive.
	go func() { _ = cmd.Wait() }()

	p := process{Name: name, PID: cmd.Process.Pid}
	if p.StartTime, err = startTime(p.PID); err != nil {
		return fmt.Errorf("%s ended at once, see %s: %w", name, logPath(name), err)
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

// startedProcesses reads the records of what was started, alive or not.
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

// alive says whether the recorded process still runs, and not another one that
// was given its pid.
func (p process) alive() bool {
	boot, err := bootID()
	if err != nil || boot != p.Boot {
		return false
	}
	started, err := startTime(p.PID)
	return err == nil && started == p.StartTime
}

// stop ends the process, with the given signal first and by force if that does
// not help, and waits until it has ended. A process that is not ours any more is
// left alone.
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
	return fmt.Errorf("%s (pid %d) does not end", p.Name, p.PID)
}

// startTime is when a running process started; a zombie does not run.
func startTime(pid int) (uint64, error) {
	stat, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return 0, err
	}
	return parseStartTime(string(stat))
}

// parseStartTime reads the start time from /proc/PID/stat, see proc(5). The
// program's name, in parentheses, may itself hold spaces and parentheses.
func parseStartTime(stat string) (uint64, error) {
	const (
		// proc(5) counts from 1, and the first two fields are cut off.
		state     = 0
		startTime = 22 - 3
	)
	end := strings.LastIndex(stat, ")")
	fields := strings.Fields(stat[end+1:])
	if end < 0 || len(fields) <= startTime {
		return 0, fmt.Errorf("not a process's stat: %q", stat)
	}
	if fields[state] == "Z" || fields[state] == "X" {
		return 0, errors.New("the process has ended")
	}
	return strconv.ParseUint(fields[startTime], 10, 64)
}

// bootID names this boot of the machine.
func bootID() (string, error) {
	id, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return strings.TrimSpace(string(id)), err
}
