// Command cluster builds, starts and stops a Kubernetes cluster of one node on this machine, for
// the demo, the end-to-end tests and developers.
//
// Every Go program of the cluster is compiled from a module that hack/tools pins; the other
// programs come from Debian packages. Nothing else is downloaded: images are built from local
// binaries and imported, never pulled.
//
// Guarantees: "up" ends with a Ready node whose pods reach each other, Services, DNS names and the
// API server; "up" on a healthy cluster changes nothing; "down" stops only processes that "up"
// started and leaves only the cache of built programs. One cluster can exist per machine, because
// it owns a network device and a node address.
//
// The command does not know the product. Its users load their own images and apply their own
// manifests.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

const usage = `usage: go -C hack/cluster run . COMMAND

  up                   install, build and start the missing parts; wait until the node is Ready
  down                 stop the cluster and remove all of its state; keep the cache
  packages             install the Debian packages that the cluster and the tests need
  build [NAME...]      compile the cluster's programs into the cache; "envtest" selects the programs that envtest needs
  assets               print the directory for KUBEBUILDER_ASSETS; build missing programs first
  kubeconfig           print the path of the cluster's kubeconfig
  image FLAGS          make an image from binaries; see "image -h"
  load FILE.tar...     import image archives into the cluster
  logs [NAME]          print the paths of the logs, or the end of one log
  freeze NAME...       make programs of the cluster hang; a frozen kubelet is a lost node
  thaw NAME...         let frozen programs continue`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "cluster:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) == 0 {
		return errors.New("no command given\n\n" + usage)
	}
	command, args := args[0], args[1:]
	switch command {
	case "packages":
		return installAllPackages(ctx)
	case "build":
		return runBuild(ctx, args)
	case "assets":
		return runAssets(ctx)
	case "up":
		return runUp(ctx)
	case "down":
		return runDown(ctx)
	case "kubeconfig":
		fmt.Println(kubeconfigPath)
		return nil
	case "image":
		return runImage(ctx, args)
	case "load":
		return runLoad(ctx, args)
	case "logs":
		return runLogs(args)
	case "freeze":
		return runSignal(args, syscall.SIGSTOP)
	case "thaw":
		return runSignal(args, syscall.SIGCONT)
	case "help", "-h", "--help":
		fmt.Println(usage)
		return nil
	}
	return fmt.Errorf("unknown command %q\n\n%s", command, usage)
}

// progress prints a message to stderr, because scripts read stdout.
func progress(format string, args ...any) {
	fmt.Fprintf(os.Stderr, format+"\n", args...)
}
