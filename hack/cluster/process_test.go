package main

import (
	"os"
	"os/exec"
	"slices"
	"syscall"
	"testing"
)

func TestParseStartTime_AnyProgramName_ReturnsStartTime(t *testing.T) {
	const rest = "S 1 1 1 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 987654 1000 20"
	for name, stat := range map[string]string{
		"a plain name":                "42 (etcd) " + rest,
		"a name that mimics the rest": "42 (a) S 1 (b c) " + rest,
	} {
		t.Run(name, func(t *testing.T) {
			got, err := parseStartTime(stat)
			if err != nil {
				t.Fatal(err)
			}
			if got != 987654 {
				t.Errorf("start time is %d, want 987654", got)
			}
		})
	}
	for name, stat := range map[string]string{
		"a zombie":     "42 (etcd) Z 1 1 1 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 987654 1000 20",
		"a short line": "42 (etcd) S 1",
		"nonsense":     "nonsense",
	} {
		t.Run(name, func(t *testing.T) {
			if got, err := parseStartTime(stat); err == nil {
				t.Errorf("start time is %d, want an error", got)
			}
		})
	}
}

// running returns the process that has the pid now.
func running(t *testing.T, name string, pid int) process {
	t.Helper()
	boot, err := bootID()
	if err != nil {
		t.Fatal(err)
	}
	started, err := startTime(pid)
	if err != nil {
		t.Fatal(err)
	}
	return process{Name: name, PID: pid, StartTime: started, Boot: boot}
}

func TestProcess_OtherStartTimeOrBoot_IsNotAlive(t *testing.T) {
	ours := running(t, "self", os.Getpid())
	if !ours.alive() {
		t.Fatal("a running process does not count as alive")
	}

	otherProcess := ours
	otherProcess.StartTime++
	if otherProcess.alive() {
		t.Error("another process with the same pid counts as ours")
	}
	otherBoot := ours
	otherBoot.Boot = "00000000-0000-0000-0000-000000000000"
	if otherBoot.alive() {
		t.Error("a process of another boot counts as ours")
	}
	// Without the check, this would kill the test itself.
	if err := otherProcess.stop(syscall.SIGKILL); err != nil {
		t.Error(err)
	}
}

func TestProcess_Stop_EndsIt(t *testing.T) {
	cmd := exec.Command("sleep", "600")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { _ = cmd.Wait() }()
	p := running(t, "sleep", cmd.Process.Pid)
	if err := p.stop(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if p.alive() {
		t.Error("the process still runs")
	}
}

func TestFindProcess_Names_ReturnsOnlyRunningPrograms(t *testing.T) {
	ours := running(t, "kubelet", os.Getpid())
	ended := running(t, "etcd", os.Getpid())
	ended.StartTime++
	for name, want := range map[string]bool{"kubelet": true, "etcd": false, "kube-proxy": false} {
		t.Run(name, func(t *testing.T) {
			got, err := findProcess([]process{ended, ours}, name)
			if found := err == nil; found != want || found && got != ours {
				t.Errorf("found %+v (%v), want a running program: %v", got, err, want)
			}
		})
	}
}

func TestIsShim_CommandLines_MatchesOnlyOwnShims(t *testing.T) {
	for name, tc := range map[string]struct {
		argv []string
		want bool
	}{
		"our shim":               {[]string{"/bin/containerd-shim-runc-v2", "-namespace", "k8s.io", "-address", containerdSocket, ""}, true},
		"another containerd's":   {[]string{"/bin/containerd-shim-runc-v2", "-address", "/run/containerd/containerd.sock", ""}, false},
		"another program":        {[]string{"/bin/ctr", "-address", containerdSocket, ""}, false},
		"a shim without one":     {[]string{"/bin/containerd-shim-runc-v2", "-address"}, false},
		"a thread of the kernel": {[]string{""}, false},
	} {
		t.Run(name, func(t *testing.T) {
			if got := isShim(tc.argv); got != tc.want {
				t.Errorf("isShim(%q) = %v, want %v", tc.argv, got, tc.want)
			}
		})
	}
}

func TestMountsBelow_Mountinfo_ReturnsMountsInDirectory(t *testing.T) {
	const mountinfo = `22 1 8:1 / / rw - ext4 /dev/a rw
30 22 0:26 / /state/pods/a rw shared:1 - tmpfs tmpfs rw
31 22 0:27 / /state/pods/a/with\040space rw - tmpfs tmpfs rw
32 22 0:28 / /state-of-another rw - tmpfs tmpfs rw
`
	got := mountsBelow(mountinfo, "/state")
	want := []string{"/state/pods/a", "/state/pods/a/with space"}
	if !slices.Equal(got, want) {
		t.Errorf("mounts are %q, want %q", got, want)
	}
}
