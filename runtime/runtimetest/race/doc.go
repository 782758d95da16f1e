// Package race says whether a program is built with the race detector, under
// which everything takes many times as long and allocates more.
package race
