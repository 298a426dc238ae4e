// SPDX-License-Identifier: Apache-2.0
// The library through pybind11: an extension module in C++, which converts by the types that it reads off.

#include <pybind11/functional.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <cstdlib>
#include <functional>
#include <stdexcept>

extern "C" {
#include "survey.h"
}

namespace py = pybind11;

static std::string greet_text(const std::string &name)
{
    char *text = greet(name.c_str());
    if (text == nullptr) {
        throw std::bad_alloc();
    }
    std::string copy = text;
    std::free(text);
    return copy;
}

static py::tuple middle_of(const std::pair<double, double> &a, const std::pair<double, double> &b)
{
    point m = middle({a.first, a.second}, {b.first, b.second});
    return py::make_tuple(m.x, m.y);
}

// py::array_t<double> would take any sequence, scale a copy, and drop it: a buffer has to be asked for.
static void scale_buffer(const py::buffer &values, double factor)
{
    py::buffer_info info = values.request(true);
    if (!info.item_type_is_equivalent_to<double>() || info.ndim != 1 || info.strides[0] != sizeof(double)) {
        throw py::type_error("scale(): expected a buffer of doubles");
    }
    scale(static_cast<double *>(info.ptr), static_cast<size_t>(info.size), factor);
}

static int test_trampoline(int value, void *data)
{
    return (*static_cast<std::function<bool(int)> *>(data))(value);
}

static int count_values(const std::vector<int> &values, std::function<bool(int)> test)
{
    return count_if(values.data(), values.size(), test_trampoline, &test);
}

static int nth_value(const std::vector<int> &values, int index)
{
    return nth(values.data(), index);
}

PYBIND11_MODULE(survey_pybind11, module)
{
    module.def("hypot2", hypot2);
    module.def("greet", greet_text);
    module.def("middle", middle_of);
    module.def("scale", scale_buffer);
    module.def("count_if", count_values);
    module.def("nth", nth_value);
}
