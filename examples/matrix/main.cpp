// A matrix product, computed by workers that fetch its blocks from a bag: `matrix [SIZE] [WORKERS]` (README.md).
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <future>
#include <optional>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "plexspaces/actor/context.hpp"
#include "plexspaces/behavior/gen_server.hpp"
#include "plexspaces/node/local/local_runtime.hpp"

namespace {

using namespace plexspaces;

constexpr std::uint32_t kBlockRows = 32;  // a block of the product is a square of at most so many rows and columns

/// Row after row. Its elements are small integers, so that sums are exact in any order.
struct Matrix {
  std::uint32_t rows = 0;
  std::uint32_t columns = 0;
  std::vector<double> elements;

  Matrix() = default;
  Matrix(std::uint32_t r, std::uint32_t c) : rows(r), columns(c), elements(std::size_t{r} * c) {}
  double& at(std::uint32_t row, std::uint32_t column) { return elements[std::size_t{row} * columns + column]; }
  double at(std::uint32_t row, std::uint32_t column) const { return elements[std::size_t{row} * columns + column]; }

  Matrix part(std::uint32_t row, std::uint32_t column, std::uint32_t rows_max, std::uint32_t columns_max) const {
    Matrix result(std::min(rows_max, rows - row), std::min(columns_max, columns - column));
    for (std::uint32_t i = 0; i < result.rows; ++i)
      for (std::uint32_t j = 0; j < result.columns; ++j) result.at(i, j) = at(row + i, column + j);
    return result;
  }

  friend bool operator==(const Matrix&, const Matrix&) = default;
};
PLX_MESSAGE(Matrix, (1, rows), (2, columns), (3, elements));

Matrix multiply(const Matrix& a, const Matrix& b) {
  Matrix product(a.rows, b.columns);
  for (std::uint32_t i = 0; i < a.rows; ++i)
    for (std::uint32_t k = 0; k < a.columns; ++k)
      for (std::uint32_t j = 0; j < b.columns; ++j) product.at(i, j) += a.at(i, k) * b.at(k, j);
  return product;
}

/// A block of the product that is still to be computed: all that it takes.
struct Block {
  std::uint32_t row = 0;
  std::uint32_t column = 0;
  Matrix left;   // these rows of the left factor
  Matrix right;  // these columns of the right factor
};
PLX_MESSAGE(Block, (1, row), (2, column), (3, left), (4, right));

struct NextBlock {
  using Reply = std::optional<Block>;
};
PLX_MESSAGE(NextBlock);

struct Computed {
  std::uint32_t worker = 0;
  std::uint32_t row = 0;
  std::uint32_t column = 0;
  Matrix product;
};
PLX_MESSAGE(Computed, (1, worker), (2, row), (3, column), (4, product));

struct Work {};
PLX_MESSAGE(Work);

struct Outcome {
  Matrix product;
  std::vector<std::uint32_t> blocks;  // computed by each worker
};

/// Hands out each block once, to whoever asks, and puts the product together.
class Bag : public GenServer<Bag, NextBlock, Computed> {
 public:
  Bag(Matrix left, Matrix right, std::uint32_t workers, std::promise<Outcome>* done)
      : left_(std::move(left)), right_(std::move(right)), done_(done) {
    outcome_.product = Matrix(left_.rows, right_.columns);
    outcome_.blocks.resize(workers);
  }

  std::optional<Block> handle(const NextBlock&, Context&) {
    if (row_ >= left_.rows) return std::nullopt;
    Block block{.row = row_,
                .column = column_,
                .left = left_.part(row_, 0, kBlockRows, left_.columns),
                .right = right_.part(0, column_, right_.rows, kBlockRows)};
    column_ += kBlockRows;
    if (column_ >= right_.columns) {
      column_ = 0;
      row_ += kBlockRows;
    }
    return block;
  }

  void handle(const Computed& block, Context&) {
    const Matrix& product = block.product;
    for (std::uint32_t i = 0; i < product.rows; ++i)
      for (std::uint32_t j = 0; j < product.columns; ++j)
        outcome_.product.at(block.row + i, block.column + j) += product.at(i, j);
    ++outcome_.blocks[block.worker];
    elements_ += product.elements.size();
    if (elements_ == outcome_.product.elements.size()) done_->set_value(std::move(outcome_));
  }

 private:
  Matrix left_, right_;
  std::uint32_t row_ = 0, column_ = 0;  // of the next block
  std::size_t elements_ = 0;            // computed
  Outcome outcome_;
  std::promise<Outcome>* done_;
};

class Worker : public GenServer<Worker, Work> {
 public:
  Worker(std::uint32_t number, ActorRef<Bag> bag) : number_(number), bag_(bag) {}

  Task<Status> handle(const Work&, Context& ctx) {
    NextBlock question;
    for (;;) {
      auto answer = co_await ctx.ask(bag_, question, 1min);
      if (!answer) co_return std::unexpected(answer.error());
      const std::optional<Block>& todo = *answer;
      if (!todo) break;  // the bag is empty
      PLX_CO_TRY_STATUS(bag_.tell(Computed{number_, todo->row, todo->column, multiply(todo->left, todo->right)}));
    }
    ctx.stop();
    co_return Status();
  }

 private:
  std::uint32_t number_;
  ActorRef<Bag> bag_;
};

Matrix example_matrix(std::uint32_t rows, std::uint32_t columns, std::uint32_t salt) {
  Matrix matrix(rows, columns);
  for (std::uint32_t i = 0; i < rows; ++i)
    for (std::uint32_t j = 0; j < columns; ++j)
      matrix.at(i, j) = static_cast<double>((i * 7919 + j * 104729 + salt) % 201) - 100;
  return matrix;
}

}  // namespace

int main(int argc, char** argv) {
  auto size = static_cast<std::uint32_t>(argc > 1 ? std::strtoul(argv[1], nullptr, 10) : 250);
  auto workers = static_cast<std::uint32_t>(argc > 2 ? std::strtoul(argv[2], nullptr, 10) : 4);
  if (size == 0 || workers == 0) {
    fmt::print(stderr, "usage: matrix [SIZE] [WORKERS], at least one of each\n");
    return 2;
  }
  Matrix left = example_matrix(size, size + 1, 1);
  Matrix right = example_matrix(size + 1, size + 2, 2);

  std::promise<Outcome> done;
  LocalRuntime runtime;

  auto bag = runtime.spawn<Bag>("bag", left, right, workers, &done).value();
  for (std::uint32_t i = 0; i < workers; ++i) runtime.spawn<Worker>("", i, bag).value().tell(Work{}).value();
  Outcome outcome = done.get_future().get();
  runtime.stop();

  for (std::uint32_t i = 0; i < workers; ++i) fmt::print("worker {}: {} blocks\n", i, outcome.blocks[i]);
  bool equal = outcome.product == multiply(left, right);
  fmt::print("{} x {} product {} the sequential one\n", size, size + 2, equal ? "equals" : "DIFFERS from");
  return equal ? 0 : 1;
}
