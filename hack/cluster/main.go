// Command cluster builds, starts and stops a Kubernetes cluster of one node on
// this machine, for the demo, the end-to-end tests and developers.
//
// Every program of the cluster is compiled from a Go module that hack/tools
// pins; what is not Go comes from Debian packages. Nothing else is downloaded:
// images are made here from binaries and imported, never pulled.
//
// What it promises: "up" ends with a Ready node whose pods reach each other,
// Services, DNS names and the API server; "up" on a healthy cluster changes
// nothing; "down" ends only processes that "up" started and leaves only the
// cache of built programs. There is one cluster per machine, since it owns a
// network device and a node address.
//
// What it leaves to others: it knows nothing of the product. Its users load
// their own images and apply their own manifests.
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

  up                   install, build and start what is missing; wait until the node is Ready
  down                 stop the cluster and remove all of its state; the cache stays
  packages             install the Debian packages that the cluster and the tests need
  build [NAME...]      compile the cluster's programs into the cache; "envtest" names those that envtest needs
  assets               print the directory for KUBEBUILDER_ASSETS, building what it needs
  kubeconfig           print the path of the cluster's kubeconfig
  image FLAGS          make an image from binaries; see "image -h"
  load FILE.tar...     import image archives into the cluster
  logs [NAME]          print where the logs are, or the end of one`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()

	err := run(ctx, os.Args[1:])
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "cluster:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) == 0 {
		return errors.New("no command\n\n" + usage)
	}
	command, args := args[0], args[1:]
	switch command {
	case "packages":
		return installPackages(ctx)
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
	case "help", "-h", "--help":
		fmt.Println(usage)
		return nil
	}
	return fmt.Errorf("unknown command %q\n\n%s", command, usage)
}

// progress tells the person what is happening. It writes to stderr, because
// stdout is for what scripts read.
func progress(format string, args ...any) {
	fmt.Fprintf(os.Stderr, format+"\n", args...)
}
