// Command program is the pause program: it holds a pod's namespaces for as long as the pod lives.
//
// All it does is written in assembly, one file for each architecture. The command build/pause cuts that one
// function out of what Go's linker makes of this package and puts an ELF header before it, so that the
// program in the image is a few hundred bytes without Go's runtime, and no cross assembler is needed.
package main

// pause waits for signals and does not return: it reaps children, and exits on SIGTERM and SIGINT.
// It must need no runtime, no relocation and no data of its own, because it is moved into another file.
func pause()

func main() { pause() }
