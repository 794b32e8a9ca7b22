// A Queue has a number of places. Whoever takes one gives it back.
export class Queue {
  constructor(places) {
    this.free = places
    this.waiting = []
  }

  // enter runs start when there is a free place, with the function that gives
  // it back. What it returns takes start out of the queue again.
  enter(start) {
    this.waiting.push(start)
    this.next()
    return () => {
      this.waiting = this.waiting.filter((other) => other !== start)
    }
  }

  next() {
    while (this.free > 0 && this.waiting.length) {
      let taken = true
      const leave = () => {
        if (!taken) return
        taken = false
        this.free++
        this.next()
      }
      this.free--
      this.waiting.shift()(leave)
    }
  }
}
